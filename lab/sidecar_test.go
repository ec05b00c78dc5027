package lab

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Other tests send threads into namespaces, and such a thread ends with its goroutine. A sidecar must not
// die with the thread that happened to start it.
func TestSidecarOutlivesThreads(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "switchagent")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Each on a thread of its own that ends; only the first thread of a process never does.
	var sidecars [2]*sidecar
	var locked, started sync.WaitGroup
	locked.Add(len(sidecars))
	for i := range sidecars {
		started.Go(func() {
			runtime.LockOSThread() // and never unlocked
			locked.Done()
			locked.Wait()
			s, err := startSidecar(filepath.Join(dir, strconv.Itoa(i)), program, 1, "")
			if err != nil {
				t.Error(err)
			}
			sidecars[i] = s
		})
	}
	started.Wait()
	after := time.After(300 * time.Millisecond)
	for _, s := range sidecars {
		if s == nil {
			continue
		}
		defer s.close()
		select {
		case <-s.ended:
			t.Errorf("the sidecar ended: %v", s.cmd.ProcessState)
		case <-after:
			after = time.After(0)
		}
	}
}
