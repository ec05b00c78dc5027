package switchagent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestHalfInventory: a table is read while it is being written. What it takes away is believed when it has read the
// same for a poll's time; what it only adds, at once.
func TestHalfInventory(t *testing.T) {
	const head = "port,server,as,prefixes\n"
	const one, two, three = "ge-0/0/1.0,bms1,64512,10.0.0.1/32\n", "ge-0/0/2.0,bms2,64512,10.0.0.2/32 10.0.1.2/32\n", "ge-0/0/3.0,bms3,64512,10.0.0.3/32\n"
	less := strings.Replace(two, " 10.0.1.2/32", "", 1)
	for name, tt := range map[string]struct {
		then []string // one a poll, and what is in use then, by ports and prefixes
		want []string
	}{
		"written again in place":      {[]string{head + one, head + one + two}, []string{"2 3", "2 3"}},
		"cut in the middle of a row":  {[]string{head + one + two[:30], head + one + two}, []string{"2 3", "2 3"}},
		"written slowly":              {[]string{head + one, head + one + less, head + one + two}, []string{"2 3", "2 3", "2 3"}},
		"a port taken out":            {[]string{head + one, head + one}, []string{"2 3", "1 1"}},
		"a prefix taken out":          {[]string{head + one + less, head + one + less}, []string{"2 3", "2 2"}},
		"a port added":                {[]string{head + one + two + three}, []string{"3 4"}},
		"bad, and then less":          {[]string{head + one, head + "x", head + one, head + one}, []string{"2 3", "2 3", "2 3", "1 1"}},
		"one out and another in":      {[]string{head + one + three, head + one + three}, []string{"2 3", "2 2"}},
		"less, then more than before": {[]string{head + one, head + one + two + three}, []string{"2 3", "3 4"}},
	} {
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
					for _, e := range a.policy.inventory.Entries() {
						ports, prefixes = ports+1, prefixes+len(e.Prefixes)
					}
					return string(rune('0'+ports)) + " " + string(rune('0'+prefixes))
				}
				write(head + one + two)
				if err := a.refreshStock(); err != nil || used() != "2 3" {
					t.Fatalf("%s in use: %v", used(), err)
				}
				for i, text := range tt.then {
					write(text)
					// Link-up messages are polled at once: of however many polls nothing follows that time does not say.
					for range 3 {
						if err := a.refreshStock(); err != nil {
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
