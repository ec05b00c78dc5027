package switchagent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withKey gives the site an inventory of two servers, the first with a key.
func (s *site) withKey() {
	s.t.Helper()
	key := filepath.Join(s.t.TempDir(), "key")
	s.must(os.WriteFile(key, []byte("Hush-4711\n"), 0o600))
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,," + key + "\nge-0/0/2.0,bms2,4200000102,10.0.0.2/32,,\n")
}

func (s *site) finding(check string) Finding {
	s.t.Helper()
	found := s.cfg.Doctor(s.t.Context())
	i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == check })
	return found[i]
}

// TestRightsFitTheInventory: the class may set keys only where the inventory has some. A leaf that was
// bootstrapped before there were any says so in doctor, with the command that mends it; without it the
// port with the key waits, the others do not, and the key is in no log.
func TestRightsFitTheInventory(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.bootstrap(o, true)
	if strings.Contains(s.device.Committed(), "secret") {
		t.Error("a class that sets no keys may see them")
	}
	s.withKey()
	found := s.finding("rights")
	if found.Status != StatusFault || !strings.Contains(found.Detail, "switchagent may not add a neighbour with an import policy and an authentication key: ") ||
		!slices.Equal(found.Mend, []string{"set system login class lastmile-agent permissions secret-control"}) {
		t.Errorf("%+v", found)
	}
	s.plug(1)
	s.plug(2)
	a := s.start()
	s.await("2")
	s.eventually("the other waits", func() bool { return s.logged("neighbour quarantined") })
	if log := a.log.String(); strings.Contains(log, "Hush") || !strings.Contains(log, "permission denied") {
		t.Errorf("log: %s", log)
	}
	a.stop()
	s.must(s.operator().CommitPrivate(t.Context(), found.Mend[0]))
	if found := s.finding("rights"); found.Status != StatusOK {
		t.Errorf("mended: %+v", found)
	}
	s.start()
	s.await("1 2")
	s.agents[1].stop()
	if again := s.bootstrap(o, false); len(again.Other) > 0 || slices.ContainsFunc(again.Missing, func(line string) bool { return !strings.Contains(line, "deny-configuration-regexps") }) {
		t.Errorf("bootstrap: %+v", again)
	}
}

// TestRightsOfTheClass: what doctor names is what mends it.
func TestRightsOfTheClass(t *testing.T) {
	for _, tt := range []struct{ without, detail string }{
		{"permissions configure", "may not add a neighbour: "},
		{`allow-configuration-regexps "protocols bgp group servers neighbor fe[89ab].*"`, "may not add a neighbour: "},
		{`allow-configuration-regexps "policy-options (policy-statement|as-path) lastmile-.*"`, "may not add a neighbour with an import policy: "},
		{"permissions secret-control", "may not add a neighbour with an import policy and an authentication key: "},
	} {
		t.Run(tt.without, func(t *testing.T) {
			s, o := newFactory(t, "21.4R1", "")
			s.withKey()
			s.bootstrap(o, true)
			if found := s.finding("rights"); found.Status != StatusOK {
				t.Fatalf("before: %+v", found)
			}
			s.must(s.operator().CommitPrivate(t.Context(), "delete system login class lastmile-agent "+tt.without))
			found := s.finding("rights")
			mend := "set system login class lastmile-agent " + tt.without
			if found.Status != StatusFault || !strings.Contains(found.Detail, tt.detail) || !slices.Contains(found.Mend, mend) {
				t.Errorf("%+v\nwant %s", found, mend)
			}
			s.must(s.operator().CommitPrivate(t.Context(), strings.Join(found.Mend, "\n")))
			if found := s.finding("rights"); found.Status != StatusOK {
				t.Errorf("mended: %+v", found)
			}
		})
	}
}

// TestBootstrapWithABadInventory: which rights are needed is not known, so none are given.
func TestBootstrapWithABadInventory(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.inventory("nonsense\n")
	if _, err := s.cfg.Bootstrap(t.Context(), o, false); err == nil || !strings.Contains(err.Error(), "which rights are needed: inventory: ") {
		t.Errorf("got %v", err)
	}
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,/nowhere/yet\n")
	if r := s.bootstrap(o, false); !slices.Contains(r.Missing, "set system login class lastmile-agent permissions secret-control") {
		t.Errorf("with a key that is not there yet: %q", r.Missing)
	}
}

// TestClassWithKeysHoldsTheAgentBack: the permission for keys is for those of servers alone.
func TestClassWithKeysHoldsTheAgentBack(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.withKey()
	s.bootstrap(o, true)
	s.agentMayNot(
		"set system root-authentication encrypted-password x",
		"set system login user admin authentication encrypted-password x",
		"set protocols bgp authentication-key x",
		"set protocols bgp group servers authentication-key x",
		"set protocols bgp group fabric authentication-key x",
		"set protocols bgp group fabric neighbor fc00:1::201 authentication-key x",
	)
	s.agentMay(
		"set protocols bgp group servers neighbor fe80::9 local-interface ge-0/0/1.0",
		"set protocols bgp group servers neighbor fe80::9 authentication-key x",
	)
}
