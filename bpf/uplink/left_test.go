package uplink_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lastmile/bpf/uplink"
)

func (b *bench) detachLeft(root, name string) (names []string, err error) {
	_ = b.host.Do(func() error {
		names, err = uplink.DetachLeft(root, name)
		return nil
	})
	return names, err
}

// left attaches the program and ends, as a process does.
func (b *bench) left(mode uplink.Mode) {
	b.t.Helper()
	h := b.start(repair)
	b.attach(h, mode)
	b.stop(h)
}

func TestDetachLeft(t *testing.T) {
	b := newBench(t)
	b.left(uplink.Auto)
	if names, err := b.detachLeft(b.root, "up7"); len(names) != 0 || err == nil || err.Error() != "no program of ours is on up7" {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := b.detachLeft(b.root, "up0"); len(names) != 1 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if shown := b.shows(b.host, "up0"); shown != "" {
		t.Errorf("still there: %s", shown)
	}
	for _, name := range []string{"", "up0"} {
		if names, err := b.detachLeft(b.root, name); len(names) != 0 || (err == nil) != (name == "") {
			t.Errorf("%q: %v, %v", name, names, err)
		}
		if dirs, err := filepath.Glob(b.root + "/*"); len(dirs) != 0 || err != nil {
			t.Errorf("%q left %v (%v)", name, dirs, err)
		}
	}
}

// TestDetachDoesNotSee: what is attached and cannot be taken off is never said not to be there.
func TestDetachDoesNotSee(t *testing.T) {
	for _, mode := range modes(t, uplink.Native, uplink.Generic, uplink.TCX) {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			b.left(mode)
			other := bpffs(t) + "/hostagent" // as behind `ip netns exec`
			for _, name := range []string{"", "up0"} {
				names, err := b.detachLeft(other, name)
				if len(names) != 0 || err == nil || !strings.Contains(err.Error(), "is on up0, and its pin is not here") {
					t.Errorf("%q in another bpffs: %v, %v", name, names, err)
				}
				names, err = b.detachLeft(t.TempDir()+"/hostagent", name)
				if len(names) != 0 || err == nil || !strings.Contains(err.Error(), "is not in a bpf file system") {
					t.Errorf("%q without bpffs: %v, %v", name, names, err)
				}
			}
		})
	}
}

// TestDetachByAnotherUser: one who may not look is told so.
func TestDetachByAnotherUser(t *testing.T) {
	b := newBench(t)
	b.left(uplink.Auto)
	// As systemd mounts it: anybody comes to the file system, root only into it.
	mount := filepath.Dir(b.root)
	for dir, mode := range map[string]os.FileMode{mount: 0o700, filepath.Dir(mount): 0o711} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	err := b.host.Do(func() error {
		if err := unix.Setfsuid(65534); err != nil {
			return err
		}
		defer unix.Setfsuid(0)
		_, err := uplink.DetachLeft(b.root, "")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
	if b.shows(b.host, "up0") == "" {
		t.Error("detached")
	}
}
