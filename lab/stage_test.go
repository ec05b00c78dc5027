package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// pinned does in a namespace what hostagent does, and returns where.
func pinned(t *testing.T, ns *netns.NS) (dir string) {
	t.Helper()
	err := ns.Do(func() error {
		h, err := uplink.Open(uplink.Options{Repair: true, Watchdog: true})
		if err != nil {
			return err
		}
		dir = h.Dir()
		return h.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		t.Fatalf("pinned in %q: %v, %v", dir, entries, err)
	}
	return dir
}

// TestStagesLeaveNoPins: what is pinned outlives its namespace, and the next one may get its number.
func TestStagesLeaveNoPins(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed to build a stage")
		}
		t.Skip("root is needed to build a stage")
	}
	name := fmt.Sprintf("t%dpins", os.Getpid())
	table, err := setStage(TableConfig{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	server, err := netns.New(name + "-server")
	if err != nil {
		t.Fatal(errors.Join(err, table.clear()))
	}
	bfd := &bfdStage{dir: filepath.Join(t.TempDir(), "bfd"), host: server}
	dirs := []string{pinned(t, table.host), pinned(t, bfd.host)}
	if err := errors.Join(table.clear(), bfd.clear()); err != nil {
		t.Error(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", dir, err)
		}
	}
}
