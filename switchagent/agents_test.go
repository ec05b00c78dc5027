package switchagent

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

// confirmation begins the log of a commit that confirms a trial.
const confirmation = "lastmile: confirmed"

// written is how many commits of agents there were, and how many of them changed nothing. The
// confirmation of a trial changes nothing and is none of them.
func (s *site) written() (commits, idle int) {
	for _, c := range s.device.History() {
		if c.User != "switchagent" || strings.HasPrefix(c.Log, confirmation) {
			continue
		}
		commits++
		if strings.TrimSpace(c.Diff) == "" {
			idle++
		}
	}
	return commits, idle
}

// TestAgentsThatBothTakeOver: commits take longer than the two differ in their patience, so both commit.
// Where that can happen, the one whose commit was beside another's stands by, and from then on each
// change is one commit.
func TestAgentsThatBothTakeOver(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.inject("slow delay=4s count=2")
		s.cfg.Takeover = 2 * time.Second
		agents := []*onSite{s.start(), s.start()}
		s.eventually("both look", func() bool { return len(s.device.Requests("get-ipv6-nd-information")) == 2 })
		s.plug(1)
		s.await("1")
		writers := func() (n int) {
			for _, a := range agents {
				n += int(testutil.ToFloat64(a.metrics.writer))
			}
			return n
		}
		beside := 0
		if s.cfg.Database == junos.Private {
			beside = 1
		}
		s.eventually("one writes, after both have tried", func() bool {
			_, idle := s.written()
			return idle == beside && writers() == 1
		})
		s.rest()
		before, idle := s.written()
		if idle != beside || before-idle != 1 {
			t.Errorf("%d commits for one server, %d of them changed nothing", before, idle)
		}
		for n := 2; n <= 4; n++ {
			s.plug(n)
			s.await("1 2 3 4"[:2*n-1])
			s.rest()
		}
		if after, idleNow := s.written(); after != before+3 || idleNow != idle || writers() != 1 {
			t.Errorf("%d commits for three more servers, %d of them changed nothing; %d write", after-before, idleNow-idle, writers())
		}
	})
}
