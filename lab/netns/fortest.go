package netns

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

var serial atomic.Uint32

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
	n, err := New(fmt.Sprintf("lmt-%d-%d-%s", os.Getpid(), serial.Add(1), label))
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
