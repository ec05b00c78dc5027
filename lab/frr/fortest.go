package frr

import (
	"os"
	"testing"
)

// ForTest starts a router for a test, with a directory of its own if cfg names
// none, and stops it at the end.
func ForTest(t testing.TB, cfg Config) *Router {
	t.Helper()
	if cfg.Dir == "" {
		// Not t.TempDir: the user frr could not enter it.
		dir, err := os.MkdirTemp("/run", "frr-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cfg.Dir = dir
	}
	r, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}
