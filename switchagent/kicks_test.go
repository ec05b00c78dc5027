package switchagent

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func linkUp(n int) string {
	return fmt.Sprintf("<29>Nov 23 10:00:00 leaf1 mib2d[1234]: SNMP_TRAP_LINK_UP: ifIndex 526, ifAdminStatus up(1), ifOperStatus up(1), ifName ge-0/0/%d", n)
}

// hearing is an agent that listens for syslog, and who sends to it.
func (s *site) hearing() (send func(text string)) {
	s.cfg.Syslog = Syslog{Listen: "127.0.0.1:0", Allow: []string{"127.0.0.1"}}
	a := s.start()
	s.eventually("it listens", func() bool { return a.syslogAt.Load() != nil })
	c, err := net.Dial("udp", *a.syslogAt.Load())
	s.must(err)
	s.t.Cleanup(func() { c.Close() })
	s.eventually("it polls", func() bool { return s.logged("connected") })
	return func(text string) {
		if _, err := fmt.Fprint(c, text); err != nil {
			s.t.Error(err)
		}
	}
}

// TestKick: who polls once an hour looks at once when a port comes up, and goes on looking until the
// server is in the table. Messages of other ports and other things do nothing.
func TestKick(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.PollInterval, c.Interfaces = time.Hour, []string{"ge-0/0/[1-3].0"} })
	send := s.hearing()
	s.eventually("the first poll is over", func() bool { return s.agents[0].Health() == nil })
	rpcs := s.device.Stats().RPCs
	send(linkUp(7))
	send(strings.ReplaceAll(linkUp(1), "UP", "DOWN"))
	send("<1>nonsense")
	if got := s.device.Stats().RPCs; got != rpcs {
		t.Errorf("%d operations after messages of no interest", got-rpcs)
	}
	send(linkUp(1))
	s.eventually("a poll that finds nobody", func() bool { return s.device.Stats().RPCs > rpcs })
	s.plug(1)
	s.await("1")
}

// TestKicksAreBounded: a flood of messages for ten minutes makes no more polls than there are seconds,
// beside the first few; and polls go on as usual.
func TestKicksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKicks()
		ctx, cancel := context.WithCancel(t.Context())
		flood := time.NewTicker(10 * time.Millisecond)
		defer flood.Stop()
		go func() {
			for {
				select {
				case <-flood.C:
					k.kick()
				case <-ctx.Done():
					return
				}
			}
		}()
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		polls, begun := 0, time.Now()
		for time.Since(begun) < 10*time.Minute {
			if !k.next(ctx, tick.C, nil) {
				t.Fatal("it has ended")
			}
			polls++
		}
		if polls < 300 || polls > 300+600+kickBudget {
			t.Errorf("%d polls in 10 minutes", polls)
		}
		cancel()
		synctest.Wait()
		if k.next(ctx, nil, nil) {
			t.Error("a poll after the end")
		}
	})
}

// TestOneKickIsAFewPolls, and then it is quiet again.
func TestOneKickIsAFewPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKicks()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		k.kick()
		polls := 0
		for k.next(ctx, nil, nil) {
			polls++
		}
		if want := int(kickFor / kickEvery); polls < want || polls > want+1 {
			t.Errorf("%d polls, want %d", polls, want)
		}
	})
}

func TestSyslogConfiguration(t *testing.T) {
	for _, tt := range []struct {
		syslog Syslog
		want   string
	}{
		{Syslog{}, ""},
		{Syslog{Listen: "127.0.0.1:5514", Allow: []string{"192.0.2.1", "2001:db8::/64"}}, ""},
		{Syslog{Listen: "0.0.0.0:5514", Allow: []string{"192.0.2.1"}}, "syslog.listen"},
		{Syslog{Listen: "[::]:5514", Allow: []string{"192.0.2.1"}}, "syslog.listen"},
		{Syslog{Listen: ":5514", Allow: []string{"192.0.2.1"}}, "syslog.listen"},
		{Syslog{Listen: "127.0.0.1:5514"}, "syslog.allow"},
		{Syslog{Listen: "127.0.0.1:5514", Allow: []string{"leaf1"}}, "syslog.allow[0]"},
	} {
		var keys []string
		tt.syslog.validate(func(key, _, _ string) { keys = append(keys, key) })
		if strings.Join(keys, " ") != tt.want {
			t.Errorf("%+v: reported %q, want %q", tt.syslog, keys, tt.want)
		}
	}
}

// TestMessageBeatsPolling: the time from a port that comes up to the stanza of its server, which is in
// the neighbour table 100 ms later, with polls every 2 s; -v shows the figures.
func TestMessageBeatsPolling(t *testing.T) {
	const rounds = 4
	took := map[bool]*time.Duration{true: new(time.Duration), false: new(time.Duration)}
	t.Run("", func(t *testing.T) {
		for message, sum := range took {
			t.Run(fmt.Sprintf("message %v", message), func(t *testing.T) {
				s := newSite(t, "", func(c *Config) { c.PollInterval, c.CommitBurst = 2*time.Second, 100 })
				send := s.hearing()
				for n := 1; n <= rounds; n++ {
					time.Sleep(time.Duration(n) * 370 * time.Millisecond) // somewhere between two polls
					begun := time.Now()
					if message {
						send(linkUp(n))
					}
					time.Sleep(100 * time.Millisecond)
					s.plug(n)
					s.eventually("the stanza", func() bool { return s.device.HasNeighbor(fmt.Sprintf("fe80::%d", n)) })
					*sum += time.Since(begun)
				}
			})
		}
	})
	t.Logf("to the stanza: %s with a message, %s without (means of %d)", *took[true]/rounds, *took[false]/rounds, rounds)
	if *took[true] >= *took[false] {
		t.Error("a message is of no use")
	}
}
