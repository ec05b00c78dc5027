package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

type figures string

func (f figures) WriteTable(w io.Writer) error { _, err := io.WriteString(w, string(f)); return err }
func (f figures) WriteJSON(path string) error  { return os.WriteFile(path, []byte(f), 0o600) }

// TestWhatIsPublished: hours of measuring are not lost to an error at their end, and what shows nothing
// is not shown.
func TestWhatIsPublished(t *testing.T) {
	broken := errors.New("the machine went away")
	const f figures = "42 ms"
	for name, test := range map[string]struct {
		measure   func() (report, error)
		err       error
		published bool
	}{
		"some, and an error":  {func() (report, error) { return some(f, 1, broken) }, broken, true},
		"none, and an error":  {func() (report, error) { return some(f, 0, broken) }, broken, false},
		"some":                {func() (report, error) { return some(f, 1, nil) }, nil, true},
		"whole":               {func() (report, error) { return whole(f, nil) }, nil, true},
		"whole, and an error": {func() (report, error) { return whole(f, broken) }, broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "figures.json")
			var out strings.Builder
			cmd := measuring("bench", "", func(_ *cobra.Command, base lab.Config) (report, error) {
				if base.Out != &out || base.Binaries.Lab == "" {
					t.Errorf("base: %+v", base)
				}
				return test.measure()
			})
			cmd.SetArgs([]string{"--json", path})
			cmd.SetOut(&out)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			want := ""
			if test.published {
				want = string(f)
			}
			if file, _ := os.ReadFile(path); strings.TrimSpace(out.String()) != want || string(file) != want {
				t.Errorf("shown %q, in the file %q, want %q", out.String(), file, want)
			}
		})
	}
}
