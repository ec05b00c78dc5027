package junos_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/scrapli/scrapligo/driver/netconf"

	"lastmile/lab/junos"
)

// A removal is a neighbour that is committed, and then removed by a session.
type removal struct {
	t      *testing.T
	w      *junos.World
	device *junos.Device
	d      *netconf.Driver
}

const (
	suddenPort, suddenPeer = "ge-0/0/7.0", "fe80::7"
	suddenNeighbor         = "protocols bgp group servers neighbor " + suddenPeer
)

var suddenlyDeleted = []string{"deleted " + suddenPeer + "%" + suddenPort}

func newRemoval(t *testing.T) *removal {
	cfg, w := world(t, "21.4R1")
	device, address := serve(t, cfg)
	return &removal{t, w, device, dial(t, address)}
}

func (r *removal) plug() {
	if err := r.w.Plug(suddenPort, suddenPeer, "52:54:00:00:00:07"); err != nil {
		r.t.Error(err)
	}
}

func (r *removal) prepare(lines string) {
	r.t.Helper()
	mustHold(r.t, r.d, openEphemeral, "</rpc-reply>")
	mustHold(r.t, r.d, load(lines), "<ok/>")
}

// configure commits the neighbour, and prepares its removal.
func (r *removal) configure(between func()) {
	r.t.Helper()
	r.prepare("set " + suddenNeighbor + " local-interface " + suddenPort)
	mustHold(r.t, r.d, commit, "<ok/>")
	between()
	r.prepare("delete " + suddenNeighbor)
}

// remove commits the removal, and returns what the device notes of it.
func (r *removal) remove() (disturbed, sudden []string) {
	r.t.Helper()
	mustHold(r.t, r.d, commit, "<ok/>")
	history := r.device.History()
	last := history[len(history)-1]
	return last.Disturbed, last.Sudden
}

// TestSudden: a commit that ends a session that was up when its session was last told is told from one
// that could not know.
func TestSudden(t *testing.T) {
	r := newRemoval(t)
	for name, later := range map[string]bool{"known": false, "sudden": true} {
		r.configure(func() {
			if !later {
				r.plug()
			}
		})
		time.Sleep(time.Millisecond) // so that the clock tells before from after
		mustHold(t, r.d, "<get-bgp-summary-information/>", "</rpc-reply>")
		time.Sleep(time.Millisecond)
		if later {
			r.plug()
		}
		disturbed, sudden := r.remove()
		if !slices.Equal(disturbed, suddenlyDeleted) || slices.Equal(sudden, suddenlyDeleted) != later {
			t.Errorf("%s: disturbed %q, sudden %q", name, disturbed, sudden)
		}
		r.w.Unplug(suddenPort, suddenPeer)
	}
	if asked := r.device.Requests("get-bgp-summary-information"); len(asked) != 1 || slices.Max(slices.Collect(maps.Values(asked))) != 2 {
		t.Errorf("requests of the open session: %v", asked)
	}
}

// TestSuddenDuringTheCommit has the session come up while its neighbour's removal is committed.
func TestSuddenDuringTheCommit(t *testing.T) {
	r := newRemoval(t)
	r.configure(func() {})
	inject(t, r.device, "slow delay=1h")
	plugged := make(chan struct{})
	go func() {
		defer close(plugged)
		for len(r.device.Strikes()) == 0 && t.Context().Err() == nil { // until the commit is under way
			time.Sleep(10 * time.Millisecond)
		}
		r.plug()
		r.device.ClearFaults()
	}()
	if disturbed, sudden := r.remove(); !slices.Equal(disturbed, suddenlyDeleted) || !slices.Equal(sudden, suddenlyDeleted) {
		t.Errorf("disturbed %q, sudden %q", disturbed, sudden)
	}
	<-plugged
}
