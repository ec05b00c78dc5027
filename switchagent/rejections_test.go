package switchagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// revealing is what a fake leaf tells of what it has rejected.
type revealing struct {
	rejected  map[netip.Addr][]junos.Hidden // by the peer as it is listed
	noHidden  error
	noPeer    netip.Addr // it refuses to tell of this one
	loopback  string     // "" is 10.255.255.1
	thinks    time.Duration
	questions []netip.Addr
}

// answer takes its time, or until nobody waits for it any more: then the session is lost.
func (r *revealing) answer(ctx context.Context) error {
	select {
	case <-time.After(r.thinks):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", junos.ErrLost, junos.ErrSlow)
	}
}

func (r *revealing) hidden(ctx context.Context, peer netip.Addr) ([]junos.Hidden, error) {
	r.questions = append(r.questions, peer)
	if err := r.answer(ctx); err != nil {
		return nil, err
	}
	if peer == r.noPeer {
		return nil, errors.New("refused: there is no such peer")
	}
	return slices.Clone(r.rejected[peer]), r.noHidden
}

func (r *revealing) loopbacks(context.Context) (map[netip.Addr]bool, error) {
	return map[netip.Addr]bool{netip.MustParseAddr(cmp.Or(r.loopback, "10.255.255.1")): true}, nil
}

// announce makes a peer announce prefixes that are rejected, beside one that is accepted.
func (f *fakeLeaf) announce(p netip.Addr, prefixes ...string) {
	f.announced = slices.DeleteFunc(f.announced, func(s junos.Session) bool { return s.Peer == p })
	f.announced = append(f.announced, junos.Session{Peer: p, State: "Established", Received: len(prefixes) + 1, Accepted: 1})
	if f.rejected == nil {
		f.rejected = map[netip.Addr][]junos.Hidden{}
	}
	f.rejected[p] = nil
	for _, prefix := range prefixes {
		f.rejected[p] = append(f.rejected[p], junos.Hidden{Prefix: netip.MustParsePrefix(prefix), Path: "64513"})
	}
}

// kinds is the samples of the gauge, as "LINK KIND=N", in order.
func (a running) kinds(t *testing.T) (all []string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(a.metrics.rejected)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			all = append(all, fmt.Sprintf("%s %s=%v", labels["link"], labels["kind"], m.Gauge.GetValue()))
		}
	}
	slices.Sort(all)
	return all
}

func (a running) wantKinds(t *testing.T, want ...string) {
	t.Helper()
	if got := a.kinds(t); !slices.Equal(got, want) {
		t.Errorf("kinds are %q, want %q", got, want)
	}
}

// runRack runs an agent with the inventory of rackRows, whose servers all have sessions.
func runRack(t *testing.T, test func(t *testing.T, f *fakeLeaf, a running)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "inventory.csv")
	if err := os.WriteFile(file, []byte("port,server,as,prefixes,shared\n"+rackRows), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFakeLeaf()
	for n := 1; n <= 3; n++ {
		f.plug(peer(n, n))
	}
	runWith(t, f, func(cfg *Config) {
		cfg.Inventory, cfg.Unknown, cfg.PollInterval = file, unknownRefuse, 10*time.Second
	}, func(t *testing.T, a running) {
		a.after(time.Minute)
		if len(f.stanzas) != 3 {
			t.Fatalf("%d stanzas", len(f.stanzas))
		}
		test(t, f, a)
	})
}

// look is how long two looks take, with a poll to spare.
func (a running) look() { a.after(2*pollsPerLook*a.cfg.PollInterval + a.cfg.PollInterval) }

// said is the lines of the log with a message, without their time.
func (a running) said(message string) (lines []string) {
	for line := range strings.Lines(a.log.String()) {
		if _, rest, ok := strings.Cut(line, fmt.Sprintf("msg=%q ", message)); ok {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	return lines
}

const rejects = "leaf rejects prefixes"

const rejectsNone = "leaf rejects no such prefixes any more"

// TestRejectedPrefixesAreNamed: a line of the log for each kind when it comes and when it goes, the metric by kinds,
// and one question for each change.
func TestRejectedPrefixesAreNamed(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		a.look()
		a.wantKinds(t)
		if len(f.questions) != 0 {
			t.Errorf("asked for %v while nothing is rejected", f.questions)
		}
		f.announce(peer(2, 2), "10.0.1.1/32", "0.0.0.0/0", "10.255.255.1/32")
		f.announced[0].Peer = f.announced[0].Peer.WithZone("") // as some releases list it
		f.rejected[f.announced[0].Peer] = f.rejected[peer(2, 2)]
		for range 5 {
			a.look()
		}
		a.wantKinds(t, "ge-0/0/2.0 default=1", "ge-0/0/2.0 loopback=1", "ge-0/0/2.0 other_server=1")
		want := []string{
			"link=ge-0/0/2.0 kind=default rejected=1 prefixes=[0.0.0.0/0] path=64513",
			"link=ge-0/0/2.0 kind=other_server rejected=1 prefixes=[10.0.1.1/32] whose=bms1 path=64513",
			"link=ge-0/0/2.0 kind=loopback rejected=1 prefixes=[10.255.255.1/32] path=64513",
		}
		if got := a.said(rejects); !slices.Equal(got, want) {
			t.Errorf("said %q", got)
		}
		if !slices.Equal(f.questions, []netip.Addr{peer(2, 2).WithZone("")}) {
			t.Errorf("asked for %v", f.questions)
		}

		f.announced = nil
		f.announce(peer(2, 2), "10.0.1.1/32", "10.0.3.1/32")
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 other_server=2")
		if got := a.said(rejects); len(got) != 3 {
			t.Errorf("said %q", got)
		}
		a.after(saidAgain)
		if got := a.said(rejects); len(got) != 4 || got[3] != "link=ge-0/0/2.0 kind=other_server rejected=2 prefixes=\"[10.0.1.1/32 10.0.3.1/32]\" whose=bms1 path=64513" {
			t.Errorf("said %q", got)
		}
		asked := len(f.questions)
		f.announce(peer(2, 2))
		a.look()
		a.wantKinds(t)
		want = []string{"link=ge-0/0/2.0 kind=default", "link=ge-0/0/2.0 kind=loopback", "link=ge-0/0/2.0 kind=other_server"}
		if got := a.said(rejectsNone); !slices.Equal(got, want) || len(f.questions) != asked {
			t.Errorf("said %q, asked %v", got, f.questions[asked:])
		}
	})
}

// TestRejectedPrefixIsReplaced: the counts stay, and it is noticed all the same.
func TestRejectedPrefixIsReplaced(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.announce(peer(2, 2), "10.6.6.6/32")
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 unlisted=1")
		f.announce(peer(2, 2), "0.0.0.0/0")
		a.after(askedAgain)
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 default=1")
		if len(f.questions) != 2 {
			t.Errorf("asked %d times", len(f.questions))
		}
	})
}

// TestManyRejectingPeers: one is asked for at a time, and each in its turn. Whoever waits is counted as unread.
func TestManyRejectingPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ports, each = 10, 2
		f, r := newFakeLeaf(), newRejections()
		var all []rejecting
		for n := range ports * each {
			p := peer(n+1, n/each)
			f.announce(p, "10.6.6.6/32")
			all = append(all, rejecting{p, p, announced{1, 1, 0}})
		}
		r.see(all)
		r.leaf, _ = f.loopbacks(t.Context())
		for n := range all {
			unread := 0
			for _, kinds := range r.counts(nil) {
				unread += kinds[kindUnread].n
			}
			one := r.due(time.Now())
			if one == nil || unread != len(all)-n {
				t.Fatalf("%d were asked for, %d unread, next is %v", n, unread, one)
			}
			if err := r.ask(t.Context(), f, *one); err != nil || slices.Index(f.questions, one.peer) != n || len(f.questions) != n+1 {
				t.Errorf("asked for %v, %v", f.questions, err)
			}
			time.Sleep(time.Second)
		}
		if one := r.due(time.Now()); one != nil {
			t.Errorf("%v is asked for again", one)
		}
		for port, kinds := range r.counts(nil) {
			if len(kinds) != 1 || kinds[kindUnlisted].n != each {
				t.Errorf("%s: %v", port, kinds)
			}
		}
	})
}

// TestPeersOfOnePort: whoever was asked for last, the line of the log is the same.
func TestPeersOfOnePort(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 1))
	runWith(t, f, func(cfg *Config) { cfg.PollInterval = 10 * time.Second }, func(t *testing.T, a running) {
		a.after(time.Minute)
		f.announce(peer(1, 1), "10.6.6.6/32")
		f.announce(peer(2, 1), "10.7.7.7/32")
		a.after(2 * time.Hour)
		a.wantKinds(t, "ge-0/0/1.0 unlisted=2")
		if n := len(f.questions); n < 12 {
			t.Errorf("asked %d times", n)
		}
		if got := a.said(rejects); len(got) != 2 || !strings.Contains(got[1], "rejected=2 prefixes=\"[10.6.6.6/32 10.7.7.7/32]\"") {
			t.Errorf("said %q", got)
		}
	})
}

// TestTooManyRejectedPrefixes: a whole table is counted and not asked for.
func TestTooManyRejectedPrefixes(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.announced = []junos.Session{{Peer: peer(2, 2), State: "Established", Received: mostRejected + 1}}
		a.look()
		a.wantKinds(t, fmt.Sprintf("ge-0/0/2.0 unread=%v", float64(mostRejected+1)))
		if len(f.questions) != 0 || len(a.said(rejects)) != 0 {
			t.Errorf("asked %v, said %q", f.questions, a.said(rejects))
		}
	})
}

// TestLeafThatDoesNotTell: it is left alone, and the counts are there.
func TestLeafThatDoesNotTell(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.noHidden = errors.New("refused: permission denied")
		f.announce(peer(2, 2), "10.0.1.1/32")
		f.announce(peer(3, 3), "10.0.1.1/32")
		a.look()
		if len(f.questions) != 1 {
			t.Errorf("asked %d times", len(f.questions))
		}
		a.wantKinds(t, "ge-0/0/2.0 unread=1", "ge-0/0/3.0 unread=1")
		polls, commits := a.health.Load().polled, len(f.commits)
		a.after(48 * time.Hour)
		if n := len(f.questions); n < 7 || n > 12 { // twice as rarely each time
			t.Errorf("asked %d times in two days", n)
		}
		if n := len(a.said("rejected prefixes cannot be read")); n != len(f.questions) || len(a.said(rejects)) != 0 {
			t.Errorf("said %d times, and %q", n, a.said(rejects))
		}
		if h := a.health.Load(); !h.polled.After(polls) || h.poll != nil || f.dials != 1 || len(f.commits) != commits {
			t.Errorf("%+v, %d dials, %d commits", h, f.dials, len(f.commits))
		}
		f.noHidden = nil
		a.after(25 * time.Hour)
		a.wantKinds(t, "ge-0/0/2.0 other_server=1", "ge-0/0/3.0 other_server=1")
	})
}

// TestLeafThatEndsTheSessionOverIt: the next session does not begin with the same question.
func TestLeafThatEndsTheSessionOverIt(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.noHidden = errGone
		f.announce(peer(2, 2), "10.0.1.1/32")
		a.after(time.Hour)
		if n := len(f.questions); n < 2 || n > 6 || f.dials != 1+n {
			t.Errorf("asked %d times in an hour, %d dials", n, f.dials)
		}
		a.wantKinds(t, "ge-0/0/2.0 unread=1")
		f.noHidden = nil
		a.after(3 * time.Hour)
		a.wantKinds(t, "ge-0/0/2.0 other_server=1")
	})
}

// TestRejectingOf: peers of the agent's stanzas that have something rejected, also those that the leaf lists without
// their interface.
func TestRejectingOf(t *testing.T) {
	bare := peer(2, 2).WithZone("")
	got := rejectingOf([]junos.Session{
		{Peer: peer(1, 1), Received: 3, Accepted: 3}, {Peer: bare, Received: 3, Accepted: 1, Flaps: 7},
		{Peer: peer(9, 9), Received: 1}, {Peer: peer(3, 3), Received: 1, Accepted: 2},
	}, []junos.Stanza{stanza(peer(1, 1)), stanza(peer(2, 2)), stanza(peer(3, 3))})
	want := []rejecting{{peer(2, 2), bare, announced{1, 2, 7}}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
