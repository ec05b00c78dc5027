package switchagent

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

// TestSlowQuestions: where each answer takes its time and there would be a question in each look, a new server hardly
// ever waits for one, and never for two; nothing is unhealthy.
func TestSlowQuestions(t *testing.T) {
	f := newFakeLeaf()
	for n := 1; n <= 4; n++ {
		f.plug(peer(n, n))
	}
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Minute)
		f.thinks = askFor - time.Second
		waited, begin := 0, time.Now()
		for n := range 60 {
			f.announced = nil
			for p := 1; p <= 4; p++ {
				f.announce(peer(p, p), slices.Repeat([]string{"10.6.6.6/32"}, 1+n%7)...)
			}
			a.after(7 * time.Second)
			f.plug(peer(100+n, n%4))
			plugged := time.Now()
			for f.stanzas[peer(100+n, n%4)].Group == "" {
				a.after(time.Second / 2)
				if err := a.Health(); err != nil || time.Since(plugged) > 2*askFor {
					t.Fatalf("server %d waits for %s, health: %v", n, time.Since(plugged), err)
				}
			}
			if time.Since(plugged) > 2*a.cfg.PollInterval {
				waited++
			}
		}
		n, most := len(f.questions), 1+int(time.Since(begin)/(askShare*f.thinks))
		if n == 0 || n > most || waited > n || f.dials != 1 {
			t.Errorf("asked %d times in %s, %d of 60 servers waited, %d dials", n, time.Since(begin), waited, f.dials)
		}
	})
}

// TestQuestionWithoutAnswer: the session ends soon, and the next is no more patient: for the polls the leaf is fast.
func TestQuestionWithoutAnswer(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.thinks = time.Hour
		f.announce(peer(2, 2), "10.0.1.1/32")
		a.after(90 * time.Minute)
		if n := len(f.questions); n < 2 || n > 7 || f.dials != 1+n {
			t.Errorf("asked %d times, %d dials", n, f.dials)
		}
		if wait := a.answers.wait(time.Now()); wait != usualWait {
			t.Errorf("a leaf that hangs is given %s", wait)
		}
		if err := a.Health(); err != nil {
			t.Error(err)
		}
		a.wantKinds(t, "ge-0/0/2.0 unread=1")
	})
}

// TestSlowQuestionOfTheWriter: it goes on to write, though another waits for less than the answer took.
func TestSlowQuestionOfTheWriter(t *testing.T) {
	for _, thinks := range []time.Duration{askFor - time.Second, time.Hour} {
		f := newFakeLeaf()
		f.plug(peer(1, 1))
		runWith(t, f, func(c *Config) { c.Takeover = 5 * time.Second }, func(t *testing.T, a running) {
			a.after(time.Minute)
			f.thinks = thinks
			f.announce(peer(1, 1), "10.6.6.6/32")
			a.after(5 * time.Minute)
			if !a.role.writer || len(f.questions) == 0 {
				t.Errorf("answers in %s: writes %v, asked %d times", thinks, a.role.writer, len(f.questions))
			}
		})
	}
}

// TestPeerThatIsNotToldOf: it is asked for ever more rarely, and keeps nobody from being asked for.
func TestPeerThatIsNotToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFakeLeaf(), newRejections()
		f.noPeer = peer(1, 1)
		r.leaf = map[netip.Addr]bool{}
		asked := map[netip.Addr]int{}
		for n := range 6 * 60 * 24 * 7 { // a week
			var all []rejecting
			for p := 1; p <= 5; p++ {
				all = append(all, rejecting{peer(p, p), peer(p, p), announced{1, 1 + n/180, 0}})
			}
			r.see(all)
			if one := r.due(time.Now()); one != nil {
				asked[one.peer]++
				if err := r.ask(t.Context(), f, *one); (err != nil) != (one.peer == f.noPeer) {
					t.Errorf("%s: %v", one.peer, err)
				}
			}
			time.Sleep(10 * time.Second)
		}
		for p := 2; p <= 5; p++ {
			if n := asked[peer(p, p)]; n < 6*24*7-30 {
				t.Errorf("%s: asked for %d times", peer(p, p), n)
			}
		}
		if n := asked[f.noPeer]; n < 7 || n > 25 {
			t.Errorf("asked %d times for the one that is not told of", n)
		}
	})
}

// TestRejectionsDoNotFloodTheLog: whatever a server announces.
func TestRejectionsDoNotFloodTheLog(t *testing.T) {
	for name, prefixes := range map[string]func(i int) []string{
		"others each time": func(i int) []string {
			return []string{fmt.Sprintf("10.77.%d.0/24", i), fmt.Sprintf("10.0.1.%d/31", 4*(i%60))}
		},
		"as many each time, and then none": func(i int) []string {
			return slices.Repeat([]string{"0.0.0.0/0", "10.0.1.1/32"}, i%2)
		},
	} {
		runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
			for i := range 72 { // two hours
				f.announce(peer(2, 2), prefixes(i)...)
				a.after(2 * pollsPerLook * a.cfg.PollInterval)
			}
			if n := len(a.said(rejects)) + len(a.said(rejectsNone)); n < 4 || n > 2*2*2*saidOften+4 {
				t.Errorf("%s: %d lines in two hours", name, n)
			}
			for is := range a.rejections.said["ge-0/0/2.0"] {
				if is == kindUnread {
					t.Errorf("%s: %s is said", name, is)
				}
			}
			f.announce(peer(2, 2))
			a.after(2 * saidAgain)
			if len(a.rejections.said) != 0 || len(a.said(rejects)) < len(a.said(rejectsNone)) {
				t.Errorf("%s: %v is remembered; said %q, %q", name, a.rejections.said, a.said(rejects), a.said(rejectsNone))
			}
		})
	}
}

// TestLoopbacksAreThoseOfTheSession: it may be another leaf by now.
func TestLoopbacksAreThoseOfTheSession(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.announce(peer(2, 2), "10.255.255.1/32")
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 loopback=1")
		f.loopback = "10.255.255.2"
		f.lost = true
		a.after(askedAgain)
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 unlisted=1")
	})
}

// TestRejectedPrefixesAfterAnotherInventory: they are judged by it, without another question.
func TestRejectedPrefixesAfterAnotherInventory(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		f.announce(peer(2, 2), "10.6.6.6/32")
		a.look()
		a.wantKinds(t, "ge-0/0/2.0 unlisted=1")
		rows := "port,server,as,prefixes,shared\n" + strings.Replace(rackRows, "10.0.3.1/32", "10.0.3.1/32 10.6.6.6/32", 1)
		if err := os.WriteFile(a.cfg.Inventory, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(f.questions)
		a.after(pollsPerLook*a.cfg.PollInterval + 3*a.cfg.PollInterval)
		a.wantKinds(t, "ge-0/0/2.0 other_server=1")
		if len(f.questions) != before {
			t.Errorf("asked %v", f.questions[before:])
		}
	})
}

// TestPeerThatComesBack: what it was rejected for before is no answer, though it is as many.
func TestPeerThatComesBack(t *testing.T) {
	runRack(t, func(t *testing.T, f *fakeLeaf, a running) {
		for _, prefix := range []string{"10.6.6.6/32", "", "0.0.0.0/0"} {
			if f.announce(peer(2, 2)); prefix != "" {
				f.announce(peer(2, 2), prefix)
			}
			a.look()
		}
		a.wantKinds(t, "ge-0/0/2.0 default=1")
	})
}

// TestFewAreLookedAtInside: a short prefix is around thousands.
func TestFewAreLookedAtInside(t *testing.T) {
	var rows strings.Builder
	for n := range 2 * mostInside {
		fmt.Fprintf(&rows, "ge-0/0/%d.0,bms%d,64512,10.0.%d.1/32,\n", n, n, n)
	}
	inv, err := inventory.Parse("f", []byte("port,server,as,prefixes,shared\n"+rows.String()), junos.CheckPrefix)
	if err != nil {
		t.Fatal(err)
	}
	c := newClaims(inv, nil)
	if n := len(c.inside(netip.MustParsePrefix("10.0.0.0/8"))); n != mostInside {
		t.Errorf("%d", n)
	}
}
