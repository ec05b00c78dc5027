package switchagent

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

// polled is how many polls the open sessions have begun since.
func (s *site) polled(since map[int]int) (n int) {
	for session, polls := range s.device.Requests("get-ipv6-nd-information") {
		n += polls - since[session]
	}
	return n
}

// touchKey does what ends the long pause of agents whose login was refused.
func (s *site) touchKey() {
	s.t.Helper()
	now := time.Now()
	s.must(os.Chtimes(s.cfg.Key, now, now))
}

// mostPolls is how many polls an agent may need when a fault is over: for the pause after failures, which is
// four to eight polls in this test, for the hold-down, which is ten, and then for the commit and to see that it is
// there.
const mostPolls = 25

// TestFaultsThatEnd: each fault lasts, servers come and go meanwhile, and then it is over. So many
// polls later the leaf holds what it should, each change was made once, and nobody's session or statement was
// touched. Polls are counted and not seconds: a busy machine makes them slower, not more.
func TestFaultsThatEnd(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]string{
		"every session drops":               {"drop rpc=* nth=9 count=all after=100"},
		"every commit's session drops":      {"reset-before count=all"},
		"no commit's reply comes":           {"reset-after count=all"},
		"replies stall":                     {"stall rpc=get-configuration nth=3 count=all after=200 delay=300ms"},
		"replies are garbled":               {"malformed rpc=get-ipv6-nd-information count=all"},
		"replies are dribbled":              {"dribble rpc=* count=40 delay=50us"},
		"another host key":                  {"drop", "host-key count=all"},
		"the login is refused":              {"drop", "login count=all"},
		"ends of sessions are noticed late": {"drop count=3 nth=9", "linger count=all delay=200ms"},
		"commits are slow":                  {"slow delay=300ms count=all"},
		"the other engine is locked":        {"error count=all"},
		"the database is full":              {"full count=all"},
		"somebody's lock":                   {"lock rpc=open-configuration|lock-configuration delay=20ms count=all"},
		"somebody's unfinished edits":       {"dirty count=all"},
		"somebody else's mistake":           {`error text="Only unit 0 is valid for ge-0/0/7" count=all`},
		"one neighbour is refused":          {`refuse text="neighbor fe80::3" count=all`},
		"no router advertisements":          {"error rpc=get-ipv6-ra-information count=all"},
		"an empty table":                    {"empty count=all"},
		"half a table":                      {"truncate count=all"},
		"no table":                          {`error rpc=get-ipv6-nd-information count=all text="daemon is not running"`},
		"the clock jumps":                   {"clock delay=7h count=all nth=5"},
	} {
		t.Run(name, func(t *testing.T) {
			inEveryDatabase(t, func(t *testing.T, s *site) { s.suffer(faults) })
		})
	}
}

// suffer is one fault, from before to after.
func (s *site) suffer(faults []string) {
	s.tune = func(a *Agent) {
		a.pace.failure = backoff{first: 4 * s.cfg.PollInterval, most: 4 * s.cfg.PollInterval}
		a.planner.quarantine.first = 4 * s.cfg.PollInterval
	}
	s.world.SetSilent("ge-0/0/2.0", "fe80::2", true) // its session is down: nothing but the tables protects it
	for n := 1; n <= 2; n++ {
		s.plug(n)
	}
	s.start()
	s.await("1 2")
	s.rest()
	s.inject(faults...)
	s.plug(3)
	s.unplug(2)
	s.eventually("the fault has struck", func() bool { // twice, so that pauses have begun to grow, or as often as it can
		struck := len(s.device.Strikes())
		return struck >= 2 || struck > 0 && s.stanzas() == "1 3" || s.logged("no session with the leaf")
	})
	s.device.ClearFaults()
	s.touchKey()
	begin := s.device.Requests("get-ipv6-nd-information")
	s.await("1 3")
	if polls := s.polled(begin); polls > mostPolls {
		s.t.Errorf("%d polls after the fault was over", polls)
	}
	s.rest()
	s.eachOnce("+1 +2 +3 -2")
}

// eachOnce wants that each of the changes "+1 -2" was made once: a server's stanza added, or removed. What a
// leaf has taken back by itself, of the shared candidate, may be made again.
func (s *site) eachOnce(want string) {
	s.t.Helper()
	made := map[string]int{}
	for _, c := range s.device.History() {
		for line := range strings.Lines(c.Diff) {
			var n int
			if _, err := fmt.Sscanf(strings.TrimSpace(strings.TrimLeft(line, "+-")), "local-interface ge-0/0/%d.0;", &n); err != nil {
				continue
			}
			switch change := line[:1]; {
			case c.Database != "rollback":
				made[fmt.Sprint(change, n)]++
			case s.cfg.Database != junos.Shared:
				s.t.Errorf("the leaf has taken %s%d back", change, n)
			default:
				made[fmt.Sprint(map[string]string{"+": "-", "-": "+"}[change], n)]--
			}
		}
	}
	for _, change := range strings.Fields(want) {
		if made[change]--; made[change] != 0 {
			s.t.Errorf("%s was made %d times", change, made[change]+1)
		}
		delete(made, change)
	}
	for change, times := range made {
		if times != 0 {
			s.t.Errorf("%s was made %d times and not wanted", change, times)
		}
	}
}

// theirs is what no commit of an agent may have in it: of the static configuration of the tests, and of
// what operators do in them.
var theirs = []string{
	"operator-", "unsaved", "neighbor fe80::ff ", "fabric", "domain-name", "host-name", "netconf", "router-id", "autonomous-system", "peer-as 64512",
}

// ownOnly looks whether a commit of an agent has changed what is its own, and nothing else.
func ownOnly(c sim.Change) error {
	for line := range strings.Lines(c.Diff) {
		if !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-") {
			continue
		}
		for _, text := range theirs {
			if strings.Contains(line, text) {
				return fmt.Errorf("an agent has committed what is not its own, %q:\n%s", text, c.Diff)
			}
		}
	}
	return nil
}

// wantOwn holds all commits of agents to that, and none may be without effect. Only with private copies one
// may, which lock nobody out, where there are two agents, or one that was killed while the leaf committed
// and another that came after it.
func (s *site) wantOwn() {
	s.t.Helper()
	for _, c := range s.device.History() {
		if c.User != "switchagent" {
			continue
		}
		if err := ownOnly(c); err != nil {
			s.t.Error(err)
		}
	}
	if _, idle := s.written(); idle > 0 && (s.ran < 2 || s.cfg.Database != junos.Private) {
		s.t.Errorf("%d commits of agents changed nothing", idle)
	}
}
