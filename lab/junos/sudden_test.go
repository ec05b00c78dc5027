package junos_test

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// TestSudden: a commit that ends a session that was up when its session was last told is told from one
// that could not know.
func TestSudden(t *testing.T) {
	cfg, w := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	const where, who = "ge-0/0/7.0", "fe80::7"
	remove := func() (disturbed, sudden []string) {
		mustHold(t, d, commit, "<ok/>")
		history := device.History()
		last := history[len(history)-1]
		return last.Disturbed, last.Sudden
	}
	prepare := func(lines string) {
		mustHold(t, d, openEphemeral, "</rpc-reply>")
		mustHold(t, d, load(lines), "<ok/>")
	}
	deleted := []string{"deleted " + who + "%" + where}
	plug := func() {
		if err := w.Plug(where, who, "52:54:00:00:00:07"); err != nil {
			t.Error(err)
		}
	}
	for name, later := range map[string]bool{"known": false, "sudden": true} {
		prepare("set protocols bgp group servers neighbor " + who + " local-interface " + where)
		mustHold(t, d, commit, "<ok/>")
		if !later {
			plug()
		}
		prepare("delete protocols bgp group servers neighbor " + who)
		time.Sleep(time.Millisecond) // so that the clock tells before from after
		mustHold(t, d, "<get-bgp-summary-information/>", "</rpc-reply>")
		time.Sleep(time.Millisecond)
		if later {
			plug()
		}
		disturbed, sudden := remove()
		if !slices.Equal(disturbed, deleted) || slices.Equal(sudden, deleted) != later {
			t.Errorf("%s: disturbed %q, sudden %q", name, disturbed, sudden)
		}
		w.Unplug(where, who)
	}

	prepare("set protocols bgp group servers neighbor " + who + " local-interface " + where)
	mustHold(t, d, commit, "<ok/>")
	prepare("delete protocols bgp group servers neighbor " + who)
	inject(t, device, "slow delay=300ms")
	plugged := make(chan struct{})
	go func() {
		defer close(plugged)
		for len(device.Strikes()) == 0 && t.Context().Err() == nil { // until the commit is under way
			time.Sleep(10 * time.Millisecond)
		}
		plug()
	}()
	if disturbed, sudden := remove(); !slices.Equal(disturbed, deleted) || !slices.Equal(sudden, deleted) {
		t.Errorf("during the commit: disturbed %q, sudden %q", disturbed, sudden)
	}
	<-plugged
	if asked := device.Requests("get-bgp-summary-information"); len(asked) != 1 || slices.Max(slices.Collect(maps.Values(asked))) != 2 {
		t.Errorf("requests of the open session: %v", asked)
	}
}
