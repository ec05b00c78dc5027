package switchagent

import (
	"fmt"
	"os"
	"strings"
	"testing"

	sim "lastmile/lab/junos"
	"lastmile/lab/sshkey"
	"lastmile/switchagent/junos"
)

// healthy is a leaf that bootstrap has configured.
func healthy(t *testing.T, profile string, change ...func(*sim.Config)) *site {
	t.Helper()
	s, o := newFactory(t, profile, "", change...)
	s.bootstrap(o, true)
	return s
}

// commits spoils a leaf by a commit of somebody's, and injects by a fault of the simulator.
func commits(lines string) func(*site) {
	return func(s *site) { s.must(s.operator().CommitPrivate(s.t.Context(), lines)) }
}

func injects(fault string) func(*site) { return func(s *site) { s.inject(fault) } }

const servers = "protocols bgp group servers "

// doctored is what may be wrong, which check finds it, and how to mend it.
var doctored = []struct {
	name, check, status, detail, mend string
	spoil                             func(*site)
}{
	{"no key", "files", StatusFault, "no such file", "", func(s *site) { s.must(os.Remove(s.cfg.Key)) }},
	{"a key for all", "files", StatusWarning, "chmod 600", "", func(s *site) { s.must(os.Chmod(s.cfg.Key, 0o644)) }},
	{"netconf off", "tcp", StatusFault, "", "set system services netconf ssh", commits("delete system services netconf")},
	{"host key", "host key", StatusFault, "SHA256:", "", injects("host-key count=all")},
	{"login", "login", StatusFault, "unable to authenticate", "", injects("login count=all")},
	{"another key", "login", StatusFault, "unable to authenticate", "set system login user switchagent authentication ssh-ed25519 \"ssh-ed25519 AAAA",
		func(s *site) { sshkey.ForTest(s.t, sshkey.Ed25519, s.cfg.Key) }},
	{"release", "release", StatusFault, "load: update needs Junos 21.1R1", "", func(s *site) { s.cfg.Load = junos.LoadUpdate }},
	{"view", "tables", StatusFault, "permission denied", "permissions [ view", commits("set system login class lastmile-agent deny-commands-regexps \"show ipv6.*\"")},
	{"no instance", "instance", StatusFault, "is not configured", "set system configuration-database ephemeral instance lastmile",
		commits("delete system configuration-database ephemeral instance lastmile")},
	{"instance deactivated", "instance", StatusFault, "is deactivated", "activate system configuration-database ephemeral instance lastmile",
		commits("deactivate system configuration-database ephemeral instance lastmile")},
	{"candidate for instance", "instance", StatusFault, "answers with another configuration", "", injects("candidate rpc=command")},
	{"rights", "rights", StatusFault, "permission denied", "allow-configuration-regexps", commits("delete system login class lastmile-agent allow-configuration-regexps")},
	{"no group", "group", StatusFault, "is not configured", "set " + servers + "type external", commits("delete protocols bgp group servers")},
	{"deactivated", "group", StatusFault, "is deactivated", "activate protocols bgp group servers", commits("deactivate protocols bgp group servers")},
	{"internal", "group", StatusFault, "type internal", "set " + servers + "type external", commits("set " + servers + "type internal")},
	{"no AS", "group", StatusFault, "no peer-as", "set " + servers + "peer-as", commits("delete " + servers + "peer-as")},
	{"no extended-nexthop", "policies", StatusFault, "extended-nexthop is missing", "set " + servers + "family inet unicast extended-nexthop",
		commits("delete " + servers + "family inet unicast extended-nexthop")},
	{"no inet6", "policies", StatusWarning, "inet6 unicast is missing", "set " + servers + "family inet6 unicast", commits("delete " + servers + "family inet6")},
	{"no import", "policies", StatusWarning, "accepts every route", "set " + servers + "import POLICY", commits("delete " + servers + "import")},
	{"no limits", "policies", StatusWarning, "no prefix limit", "prefix-limit maximum 16",
		commits("delete " + servers + "family inet unicast prefix-limit\ndelete " + servers + "family inet6 unicast prefix-limit")},
	{"no BFD", "policies", StatusWarning, "no BFD", "bfd-liveness-detection minimum-interval 1000", commits("delete " + servers + "bfd-liveness-detection")},
	{"RA off", "router advertisements", StatusFault, "ge-0/0/2.0 sends no", "set protocols router-advertisement interface ge-0/0/2.0",
		commits("delete protocols router-advertisement interface ge-0/0/2.0")},
	{"RA deactivated", "router advertisements", StatusFault, "ge-0/0/1.0 sends no", "set protocols router-advertisement interface ge-0/0/1.0",
		commits("deactivate protocols router-advertisement interface ge-0/0/1.0")},
	{"no ports", "interfaces", StatusFault, "no logical interface", "set interfaces PORT", func(s *site) { s.cfg.Interfaces = []string{"xe-*"} }},
	{"native", "native discovery", StatusWarning, "ge-0/0/1.0: Junos discovers", "peer-auto-discovery interface ge-0/0/1.0",
		commits("set protocols bgp group auto dynamic-neighbor d peer-auto-discovery family inet6 ipv6-nd\n" +
			"set protocols bgp group auto dynamic-neighbor d peer-auto-discovery interface ge-0/0/1.0")},
	{"bad inventory", "inventory", StatusFault, "inventory.csv:2:12: server:", "", func(s *site) { s.inventory("ge-0/0/1.0,-,4200000101,10.0.0.1/32,,\n") }},
	{"no inventory", "inventory", StatusFault, "no such file", "", func(s *site) { s.cfg.Inventory, s.cfg.Unknown = "/nowhere", unknownRefuse }},
	{"unreadable key", "inventory", StatusFault, "inventory.csv:2: key_file of port ge-0/0/1.0: open /nowhere", "",
		func(s *site) {
			s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,/nowhere\n")
			s.must(s.operator().CommitPrivate(s.t.Context(), "set system login class lastmile-agent permissions secret-control"))
		}},
	{"no such port", "inventory ports", StatusWarning, "inventory.csv:2: port ge-0/0/77.0 of bms1 does not exist", "set interfaces ge-0/0/77 unit 0 family inet6",
		func(s *site) { s.inventory("ge-0/0/77.0,bms1,4200000101,10.0.0.1/32,,\n") }},
	{"port not meant", "inventory ports", StatusWarning, "inventory.csv:2: port et-0/0/48.0 of bms1 is none that", "",
		func(s *site) { s.inventory("et-0/0/48.0,bms1,4200000101,10.0.0.1/32,,\n") }},
	{"rights to policies", "rights", StatusFault, "permission denied", "policy-options", func(s *site) {
		s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n")
		s.must(s.operator().CommitPrivate(s.t.Context(), "delete system login class lastmile-agent allow-configuration-regexps\n"+
			"set system login class lastmile-agent allow-configuration-regexps \"protocols bgp group servers neighbor fe[89ab].*\""))
	}},
	{"clock", "clock", StatusWarning, "off", "set system ntp server", injects("clock rpc=get-software-information")},
}

// TestDoctorFindsTheFault: one thing is broken at a time; the check of that thing, and of nothing that
// it does not hide, says so and how to mend it.
func TestDoctorFindsTheFault(t *testing.T) {
	for _, tt := range doctored {
		t.Run(tt.name, func(t *testing.T) {
			profile := "21.4R1"
			if tt.name == "release" {
				profile = "20.4R1"
			}
			s := healthy(t, profile)
			tt.spoil(s)
			before := s.device.Committed() + s.device.Candidate()
			hidden := false
			var seen []string
			for _, f := range s.cfg.Doctor(t.Context()) {
				if f.Status == StatusSkipped {
					hidden = true
					continue
				}
				if f.Status == StatusOK {
					continue
				}
				seen = append(seen, f.Check)
				if f.Check != tt.check || f.Status != tt.status || !strings.Contains(f.Detail, tt.detail) || !strings.Contains(strings.Join(f.Mend, "\n"), tt.mend) {
					t.Errorf("found: %+v", f)
				}
			}
			if len(seen) != 1 {
				t.Errorf("found %q, hidden %v", seen, hidden)
			}
			if s.device.Committed()+s.device.Candidate() != before {
				t.Error("the doctor has changed something")
			}
			if text, err := s.device.Ephemeral("lastmile"); err == nil && text != "" {
				t.Errorf("the doctor has left %s", text)
			}
		})
	}
}

// TestDoctorOfDatabases: a healthy leaf is healthy in every release and database.
func TestDoctorOfDatabases(t *testing.T) {
	for _, profile := range sim.Profiles() {
		for _, kind := range kinds {
			t.Run(profile.Name+" "+string(kind), func(t *testing.T) {
				s := healthy(t, profile.Name)
				s.cfg.Database = kind
				for _, f := range s.cfg.Doctor(t.Context()) {
					if f.Status != StatusOK {
						t.Errorf("%+v", f)
					}
				}
				if s.device.LockedBy() != "" || s.device.OpenedBy("lastmile") != "" {
					t.Error("a lock is left")
				}
			})
		}
	}
}

// TestDoctorOfFullDatabase: what is nearly full soon takes no stanza.
func TestDoctorOfFullDatabase(t *testing.T) {
	s := healthy(t, "21.4R1", func(c *sim.Config) { c.DatabaseSize = 1 << 17 })
	s.cfg.Database = junos.Private
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "set policy-options prefix-list filler 2001:db8:%x::/48\n", i)
	}
	s.must(s.operator().CommitPrivate(t.Context(), lines.String()))
	for _, f := range s.cfg.Doctor(t.Context()) {
		if full := f.Check == "database usage"; full != (f.Status == StatusWarning) {
			t.Errorf("%+v", f)
		}
	}
}

// TestReadOnly: through the command line the agent sees all and commits nothing, and says so once.
func TestReadOnly(t *testing.T) {
	for _, profile := range sim.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			s, o := newFactory(t, profile.Name, "")
			s.bootstrap(o, true)
			s.cfg.Transport, s.cfg.Target = transportCLI, o.CLI
			s.plug(1)
			a := s.start()
			s.eventually("it says what it does not do", func() bool { return s.logged("transport: cli only reads") })
			before := s.device.Stats().RPCs
			s.eventually("ten polls", func() bool { return s.device.Stats().RPCs > before+60 })
			if n := strings.Count(a.log.String(), "transport: cli only reads"); n != 1 {
				t.Errorf("it says so %d times", n)
			}
			if err := a.Health(); err == nil || !strings.Contains(err.Error(), "only reads") {
				t.Errorf("health: %v", err)
			}
			rows, err := Operate(s.cfg, a.Agent.log).Show(t.Context())
			if err != nil || len(rows) != 1 || rows[0].Address != "fe80::1" || rows[0].MAC != "52:54:00:00:00:01" {
				t.Errorf("rows: %+v %v", rows, err)
			}
			for _, f := range s.cfg.Doctor(t.Context()) {
				if f.Status != StatusOK && f.Check != "rights" {
					t.Errorf("doctor: %+v", f)
				}
			}
			a.stop()
			if stanzas := s.stanzas(); stanzas != "" {
				t.Errorf("stanzas of %s", stanzas)
			}
		})
	}
}

// TestDoctorOfALock: a lock says nothing about rights.
func TestDoctorOfALock(t *testing.T) {
	for _, kind := range []junos.Kind{junos.Ephemeral, junos.Private} {
		t.Run(string(kind), func(t *testing.T) {
			s := healthy(t, "21.4R1")
			s.cfg.Database = kind
			s.inject("lock")
			for _, f := range s.cfg.Doctor(t.Context()) {
				switch {
				case f.Check != "rights" && f.Status != StatusOK:
					t.Errorf("%+v", f)
				case f.Check == "rights" && (f.Status != StatusWarning || len(f.Mend) > 0 || !strings.Contains(f.Detail, "not tried")):
					t.Errorf("%+v", f)
				}
			}
			s.device.ClearFaults()
		})
	}
}
