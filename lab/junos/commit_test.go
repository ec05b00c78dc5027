package junos

import (
	"context"
	"testing"
)

// TestNoCommitAfterItsSession: a commit that waits for its turn when its session
// ends does not run, even if both happen at once.
func TestNoCommitAfterItsSession(t *testing.T) {
	d := &Device{committing: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := d.serialised(ctx, func() error { t.Error("it ran"); return nil }); err == nil {
			t.Error("no error")
		}
	}
}
