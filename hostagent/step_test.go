package hostagent

import (
	"testing"

	"lastmile/hostagent/kernel"
)

// TestFaultsAreHeededEverySoManySteps: not at each, which would take longer than the
// routes do, and not after more than a batch of the FIB counts for.
func TestFaultsAreHeededEverySoManySteps(t *testing.T) {
	w := newWorld(t, "eth*")
	links := make(chan kernel.State, 1)
	w.from.links = links
	for range 3 {
		links <- w.state
		if w.step(kernel.HeedSteps - 1); len(links) == 0 {
			t.Error("they were heeded too early")
		}
		if w.step(1); len(links) > 0 {
			t.Fatal("they were not heeded")
		}
	}
	links <- w.state
	if w.step(kernel.HeedSteps); len(links) > 0 {
		t.Error("they were not heeded after a batch")
	}
}
