package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/cmd/internal/daemon"
	"lastmile/hostagent"
)

func TestReferenceConfigurationHoldsTheDefaults(t *testing.T) {
	got := hostagent.DefaultConfig()
	if err := daemon.Load("../../docs/hostagent.yaml", &got); err != nil {
		t.Fatal(err)
	}
	want := hostagent.DefaultConfig()
	want.AS, want.Uplinks = 64512, []string{"eth*"}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(want.RouterID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestImportExample takes the comment signs off the example.
func TestImportExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/hostagent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "\n# import:\n")
	example, _, _ = strings.Cut(example, "\n\n")
	config := filepath.Join(t.TempDir(), "hostagent.yaml")
	example = "as: 64512\nuplinks: [eth*]\nimport:\n" + strings.ReplaceAll("\n"+example, "\n#", "\n") + "\n"
	if err := os.WriteFile(config, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	got := hostagent.DefaultConfig()
	if err := daemon.Load(config, &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range got.Import {
		line := fmt.Sprint(r.Uplinks, r.Prefixes, r.Communities, r.MaxASPath, r.Reject)
		if r.LocalPref != nil {
			line += fmt.Sprint(" ", *r.LocalPref)
		}
		lines = append(lines, line)
	}
	want := []string{
		"[eth2] [{0.0.0.0/0 0 0} {::/0 0 0}] [] 0 false 50",
		"[eth2] [] [] 0 true",
		"[] [{0.0.0.0/0 25 32} {::/0 65 128}] [{[4259905636] []} {[] [[64512 1 1]]}] 0 false",
		"[] [{0.0.0.0/0 0 24} {::/0 0 64}] [] 16 false",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUnknownCommands: a script with a spelling mistake must not go on.
func TestUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{"bogus"}, {"show", "bogus"}, {"repair", "bogus"}, {"run", "bogus"}, {"completion", "bogus"}} {
		cmd := rootCommand()
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
}
