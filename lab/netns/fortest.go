package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// prefix begins the names of what is made for tests. The process's id follows.
const prefix = "lmt-"

// run is where directories for tests are.
const run = "/run"

var serial atomic.Uint32

func nameForTest(label string) string {
	return fmt.Sprintf("%s%d-%d-%s", prefix, os.Getpid(), serial.Add(1), label)
}

// ForTest makes a namespace with a name of its own and deletes it at the end
// of the test. Without root the test is skipped, except where CI is set in the
// environment: there a test that cannot run has failed.
func ForTest(t testing.TB, label string) *NS {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed to make network namespaces")
		}
		t.Skip("root is needed to make network namespaces")
	}
	if err := sweep(); err != nil {
		t.Logf("sweeping up after tests that were killed: %v", err)
	}
	n, err := New(nameForTest(label))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Delete(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// DirForTest makes a directory for daemons in a namespace and removes it at the end of the test. Unlike t.TempDir's,
// any user may enter it.
func DirForTest(t testing.TB, label string) string {
	t.Helper()
	dir := filepath.Join(run, nameForTest(label))
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// sweep removes, once in each process, what tests have left that were killed: namespaces with what runs in them, and
// directories. Another process may be at it too.
var sweep = sync.OnceValue(func() error {
	names, err := List(prefix)
	dirs, globErr := filepath.Glob(filepath.Join(run, prefix+"*"))
	errs := []error{err, globErr}
	for _, name := range names {
		if !abandoned(name) {
			continue
		}
		n, err := Open(name)
		if err == nil {
			err = n.Delete()
		}
		if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, dir := range dirs {
		if abandoned(filepath.Base(dir)) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
})

// abandoned says whether the process that has made what has this name is no more.
func abandoned(name string) bool {
	var pid int
	if _, err := fmt.Sscanf(name, prefix+"%d-", &pid); err != nil || pid <= 1 {
		return false
	}
	return errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
