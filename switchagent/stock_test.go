package switchagent

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	halfHead  = "port,server,as,prefixes\n"
	halfOne   = "ge-0/0/1.0,bms1,64512,10.0.0.1/32\n"
	halfTwo   = "ge-0/0/2.0,bms2,64512,10.0.0.2/32 10.0.1.2/32\n"
	halfLess  = "ge-0/0/2.0,bms2,64512,10.0.0.2/32\n"
	halfThree = "ge-0/0/3.0,bms3,64512,10.0.0.3/32\n"
)

// halfInventories begin with the head and the first two ports, and are in use as ports and prefixes.
var halfInventories = map[string]struct {
	then []string // one a poll, and what is in use then, by ports and prefixes
	want []string
}{
	"written again in place":      {[]string{halfHead + halfOne, halfHead + halfOne + halfTwo}, []string{"2 3", "2 3"}},
	"cut in the middle of a row":  {[]string{halfHead + halfOne + halfTwo[:30], halfHead + halfOne + halfTwo}, []string{"2 3", "2 3"}},
	"written slowly":              {[]string{halfHead + halfOne, halfHead + halfOne + halfLess, halfHead + halfOne + halfTwo}, []string{"2 3", "2 3", "2 3"}},
	"a port taken out":            {[]string{halfHead + halfOne, halfHead + halfOne}, []string{"2 3", "1 1"}},
	"a prefix taken out":          {[]string{halfHead + halfOne + halfLess, halfHead + halfOne + halfLess}, []string{"2 3", "2 2"}},
	"a port added":                {[]string{halfHead + halfOne + halfTwo + halfThree}, []string{"3 4"}},
	"bad, and then less":          {[]string{halfHead + halfOne, halfHead + "x", halfHead + halfOne, halfHead + halfOne}, []string{"2 3", "2 3", "2 3", "1 1"}},
	"one out and another in":      {[]string{halfHead + halfOne + halfThree, halfHead + halfOne + halfThree}, []string{"2 3", "2 2"}},
	"less, then more than before": {[]string{halfHead + halfOne, halfHead + halfOne + halfTwo + halfThree}, []string{"2 3", "3 4"}},
}

// TestHalfInventory: a table is read while it is being written. What it takes away is believed when it has read the
// same for a poll's time; what it only adds, at once.
func TestHalfInventory(t *testing.T) {
	for name, tt := range halfInventories {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.Inventory = filepath.Join(t.TempDir(), "inventory.csv")
				a := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
				write := func(text string) {
					if err := os.WriteFile(cfg.Inventory, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				used := func() string {
					ports, prefixes := 0, 0
					for _, e := range a.planner.policy.inventory.Entries() {
						ports, prefixes = ports+1, prefixes+len(e.Prefixes)
					}
					return string(rune('0'+ports)) + " " + string(rune('0'+prefixes))
				}
				write(halfHead + halfOne + halfTwo)
				if err := a.refreshStock(t.Context()); err != nil || used() != "2 3" {
					t.Fatalf("%s in use: %v", used(), err)
				}
				for i, text := range tt.then {
					write(text)
					// Link-up messages are polled at once: of however many polls nothing follows that time does not say.
					for range 3 {
						if err := a.refreshStock(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					if got := used(); got != tt.want[i] {
						t.Errorf("%s in use after step %d, want %s", got, i, tt.want[i])
					}
					time.Sleep(cfg.PollInterval)
				}
			})
		})
	}
}
