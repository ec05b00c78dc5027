package frr

import (
	"testing"

	"lastmile/lab/netns"
)

// ForTest starts a router for a test, with a directory of its own if cfg names
// none, and stops it at the end.
func ForTest(t testing.TB, cfg Config) *Router {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = netns.DirForTest(t, "frr")
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
