package hostagent

import (
	"strings"
	"testing"

	"lastmile/hostagent/bfd/worker"
)

// TestWorkerSaysThatItHasNoMover, and nothing while there is one or nobody knows.
func TestWorkerSaysThatItHasNoMover(t *testing.T) {
	for mover, want := range map[string]string{
		"":                           "",
		worker.MoverRuns.String():    "",
		worker.MoverLost.String():    "; no mover: ended",
		worker.MoverNotFIFO.String(): "; no mover: scheduling is not fifo",
	} {
		w := BFDWorker{Running: true, Scheduling: "fifo", Mover: mover, Watchdog: true}
		if text := w.text(); !strings.HasSuffix(text, "watchdog in the kernel"+want) {
			t.Errorf("mover %q: %q, want %q", mover, text, want)
		}
	}
}
