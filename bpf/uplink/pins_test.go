package uplink

import (
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOneFileSystemIsMounted(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := mountAt(dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	mounts, err := os.ReadFile("/proc/self/mounts")
	n := strings.Count(string(mounts), " "+dir+" bpf ")
	if err != nil || n != 1 {
		t.Errorf("%d file systems (%v)", n, err)
	}
	for range n {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}
}
