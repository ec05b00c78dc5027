package switchagent

import (
	"testing"

	"lastmile/switchagent/junos"
)

// TestAtRest: what was seen counts only if nobody was at work then, nothing was on trial, and nothing was committed or
// taken back while it was looked at.
func TestAtRest(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Database = junos.Shared })
	yes := func() bool { return true }
	o := s.operator()
	s.eventually("the leaf has booted", func() bool { return len(s.device.History()) > 0 })
	if !s.atRest(yes) {
		t.Error("nobody is there, and it is not at rest")
	}
	if s.atRest(func() bool { return false }) {
		t.Error("what does not hold does")
	}
	meanwhile := func() bool {
		s.must(o.CommitPrivate(t.Context(), "set policy-options community operator-1 members 65001:1"))
		return true
	}
	if s.atRest(meanwhile) {
		t.Error("a commit while it is looked at is not noticed")
	}
	s.must(o.Lock(t.Context()))
	if s.atRest(yes) {
		t.Error("a lock is not noticed")
	}
	s.must(o.Edit(t.Context(), "set policy-options community operator-2 members 65001:2"))
	_, err := o.RPC(t.Context(), "<commit-configuration><confirmed/><confirm-timeout>1</confirm-timeout><log>"+junos.Mark+" to be confirmed within 1 minutes</log></commit-configuration>")
	s.must(err, o.Unlock(t.Context()))
	if s.atRest(yes) {
		t.Error("a trial is not noticed")
	}
	s.eventually("it is taken back", func() bool { return s.atRest(yes) })
	if len(s.about("operator-2")) > 0 {
		t.Error("at rest before it was taken back")
	}
}
