package junos_test

import (
	"strings"
	"testing"
	"time"

	"lastmile/lab/junos"
)

// Requests that the tests repeat.
const (
	openEphemeral = "<open-configuration><ephemeral-instance>lastmile</ephemeral-instance></open-configuration>"
	openPrivate   = "<open-configuration><private/></open-configuration>"
	closeOpen     = "<close-configuration/>"
	commit        = "<commit-configuration/>"
	committed     = `<get-configuration database="committed" format="set"/>`
)

// load is a load-configuration in set format.
func load(lines string) string {
	return `<load-configuration action="set" format="text"><configuration-set>` + lines + "</configuration-set></load-configuration>"
}

func loadXML(action, configuration string) string {
	return `<load-configuration action="` + action + `" format="xml"><configuration>` + configuration + "</configuration></load-configuration>"
}

func TestHello(t *testing.T) {
	_, address := serve(t, config())
	d := dial(t, address)
	for _, want := range []string{
		"urn:ietf:params:netconf:base:1.0", "urn:ietf:params:xml:ns:netconf:base:1.0",
		"urn:ietf:params:xml:ns:netconf:capability:candidate:1.0", "http://xml.juniper.net/netconf/junos/1.0",
	} {
		if !d.ServerHasCapability(want) {
			t.Errorf("lacks %s in %q", want, d.ServerCapabilities())
		}
	}
	if d.ServerHasCapability("urn:ietf:params:netconf:base:1.1") {
		t.Error("offers chunked framing without being configured to")
	}
	mustHold(t, d, "<get-system-information/>",
		`<rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" xmlns:junos="http://xml.juniper.net/junos/21.4R0/junos" message-id="101">`,
		"<hardware-model>qfx5120-48y-8c</hardware-model>", "<os-version>21.4R3.15</os-version>")
}

func TestRefusals(t *testing.T) {
	_, address := serve(t, config())
	d := dial(t, address)
	for _, test := range []struct {
		name, request string
		want          []string
	}{
		{"unknown rpc", "<get-nonsense/>", []string{"syntax error, expecting &lt;command&gt;", "<bad-element>get-nonsense</bad-element>"}},
		{"unknown statement", loadXML("merge", "<protocols><lldpx/></protocols><system><host-name>kept</host-name></system>"),
			[]string{"<load-configuration-results>", "<bad-element>lldpx</bad-element>", "\nsyntax error\n", "<load-error-count>1</load-error-count>"}},
		{"the good part stays", `<get-configuration format="set"/>`, []string{"set system host-name kept"}},
		{"discard", "<discard-changes/>", []string{"<ok/>"}},
		{"delete what is not there", loadXML("merge", `<system><domain-name delete="delete"/></system>`),
			[]string{"<error-severity>warning</error-severity>", "\nstatement not found\n", "<ok/>"}},
		{"missing instance", "<open-configuration><ephemeral-instance>other</ephemeral-instance></open-configuration>",
			[]string{"<error-severity>error</error-severity>", "ephemeral instance 'other' not configured"}},
		{"unlock without a lock", "<unlock-configuration/>", []string{"Configuration database is not open"}},
		{"rollback too far", `<load-configuration rollback="7"/>`, []string{"rollback 7 not found"}},
		{"missing peer-as", load("set protocols bgp group g type external\nset protocols bgp group g neighbor 192.0.2.1"), []string{"<ok/>"}},
		{"is refused at commit", commit,
			[]string{"<commit-results>", "<source-daemon>rpd</source-daemon>", "[edit protocols bgp group g]", "peer AS number", "configuration check-out failed"}},
		{"also at a check", "<commit-configuration><check/></commit-configuration>", []string{"configuration check-out failed"}},
		{"discard", "<discard-changes/>", []string{"<ok/>"}},
		{"link-local without interface", load("set protocols bgp group servers neighbor fe80::1"), []string{"<ok/>"}},
		{"is refused too", commit, []string{"local-interface must be configured", "<bad-element>neighbor fe80::1</bad-element>"}},
		{"unknown policy", load("delete protocols bgp group servers neighbor fe80::1\nset protocols bgp group servers import nowhere"), []string{"<ok/>"}},
		{"is refused as well", commit, []string{"Policy nowhere referenced but not defined"}},
		{"discard", "<discard-changes/>", []string{"<ok/>"}},
		{"nothing to commit", commit, []string{"<commit-success/>", "<ok/>"}},
	} {
		t.Run(test.name, func(t *testing.T) { mustHold(t, d, test.request, test.want...) })
	}
	t.Run("read-only user", func(t *testing.T) {
		looker := dialAs(t, address, "looker", "1.0")
		mustHold(t, looker, openEphemeral, "permission denied", "<bad-element>open-configuration</bad-element>")
		mustHold(t, looker, "<get-software-information/>", "<junos-version>")
	})
}

func TestEphemeral(t *testing.T) {
	device, address := serve(t, config())
	d, other := dial(t, address), dial(t, address)
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, other, openEphemeral, "configuration database locked by:\n  lab", "(pid ", "exclusive", "<error-tag>lock-denied</error-tag>")
	mustHold(t, d, loadXML("merge", "<chassis><device-count>1</device-count></chassis>"), "not supported in the ephemeral", "<bad-element>chassis</bad-element>")
	// Only syntax is checked: the neighbour lacks its interface, the policy its definition.
	mustHold(t, d, loadXML("merge",
		"<protocols><bgp><group><name>servers</name><import>nowhere</import><neighbor><name>fe80::1</name></neighbor></group></bgp></protocols>"), "<ok/>")
	mustHold(t, d, "<commit-configuration><confirmed/></commit-configuration>", "not supported in this configuration mode")
	mustHold(t, d, commit, "<ok/>")
	mustHold(t, d, `<get-configuration database="ephemeral" ephemeral-instance="lastmile"/>`,
		"<neighbor>\n<name>fe80::1</name>\n</neighbor>", `junos:commit-seconds="`)
	mustHold(t, d, loadXML("update", "<protocols><bgp><group><name>servers</name><neighbor><name>fe80::2</name></neighbor></group></bgp></protocols>"), "<ok/>")
	mustHold(t, d, closeOpen, "</rpc-reply>") // uncommitted, so lost
	mustHold(t, other, openEphemeral, "</rpc-reply>")
	reply := mustHold(t, other, `<get-configuration format="set"/>`, "neighbor fe80::1")
	if strings.Contains(reply, "fe80::2") || strings.Contains(reply, "host-name") {
		t.Errorf("the instance holds what was not committed to it: %s", reply)
	}
	if reply := rpc(t, d, committed); strings.Contains(reply, "fe80::1") {
		t.Errorf("the static configuration shows ephemeral data: %s", reply)
	}
	if s := device.Stats(); s.Ephemeral != 1 || s.Commits != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestPrivate(t *testing.T) {
	_, address := serve(t, config())
	d, other := dial(t, address), dial(t, address)
	reply := mustHold(t, d, openPrivate, "uncommitted changes will be discarded on exit", "<error-severity>warning</error-severity>")
	if strings.Contains(reply, "error-type") || strings.Contains(reply, "<ok/>") {
		t.Errorf("a bare warning has no more: %s", reply)
	}
	mustHold(t, other, openPrivate, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name one.example"), "<ok/>")
	mustHold(t, other, load("set system host-name two"), "<ok/>")
	mustHold(t, d, `<get-configuration compare="rollback" rollback="0" format="text"/>`,
		"<configuration-output>\n[edit system]\n+  domain-name one.example;\n</configuration-output>")
	mustHold(t, d, "<commit-configuration><confirmed/></commit-configuration>", "not supported in this configuration mode")
	mustHold(t, d, "<commit-configuration><log>first</log></commit-configuration>", "<commit-success/>")
	mustHold(t, other, commit, "<commit-success/>")
	mustHold(t, other, closeOpen, "</rpc-reply>")
	mustHold(t, other, committed, "set system host-name two", "set system domain-name one.example")
	mustHold(t, other, "<get-commit-information/>", "<log>first</log>")

	// A changed or locked shared candidate keeps private copies out.
	mustHold(t, other, load("set system time-zone UTC"), "<ok/>")
	mustHold(t, d, closeOpen, "</rpc-reply>")
	mustHold(t, d, openPrivate, "configuration database modified")
	mustHold(t, d, "<lock-configuration/>", "configuration database modified")
	mustHold(t, other, "<discard-changes/>", "<ok/>")
	mustHold(t, other, "<lock-configuration/>", "<ok/>")
	mustHold(t, d, openPrivate, "configuration database locked by:")
}

func TestSharedCandidate(t *testing.T) {
	_, address := serve(t, config())
	d, other := dial(t, address), dial(t, address)
	mustHold(t, d, "<lock><target><candidate/></target></lock>", "<ok/>")
	mustHold(t, d, "<lock-configuration/>", "Configuration database is already open")
	mustHold(t, other, "<lock-configuration/>", "configuration database locked by:\n  lab")
	mustHold(t, other, load("set system host-name thief"), "configuration database locked by:")
	mustHold(t, other, commit, "configuration database locked by:")
	mustHold(t, other, "<get-configuration-database-status/>", "<user>lab</user>", "<exclusive/>")
	mustHold(t, d, load("set system host-name mine\nset system login user x class super-user"), "<ok/>")
	mustHold(t, d, "<commit-configuration><check/></commit-configuration>", "<commit-check-success/>")
	mustHold(t, d, commit, "<commit-results>", "<name>re0</name>", "<commit-success/>", "<ok/>")
	mustHold(t, d, load("set system host-name lost"), "<ok/>")
	mustHold(t, d, "<unlock-configuration/>", "<ok/>")
	reply := mustHold(t, other, `<get-configuration format="set"><configuration><system/></configuration></get-configuration>`, "set system host-name mine")
	if strings.Contains(reply, "bgp") {
		t.Errorf("the filter let through what it does not name: %s", reply)
	}
	mustHold(t, other, `<load-configuration rollback="1"/>`, "<ok/>")
	mustHold(t, other, commit, "<ok/>")
	mustHold(t, other, committed, "set system host-name leaf1")
	mustHold(t, d, `<load-configuration action="override" format="text"><configuration-text>system { host-name whole; }</configuration-text></load-configuration>`, "<ok/>")
	reply = mustHold(t, d, `<get-configuration format="text"/>`, "system {\n    host-name whole;\n}")
	if strings.Contains(reply, "protocols") {
		t.Errorf("override kept what it does not hold: %s", reply)
	}
	mustHold(t, d, `<load-configuration action="replace" format="xml"><configuration><system replace="replace"><domain-name>x</domain-name></system></configuration></load-configuration>`, "<ok/>")
	mustHold(t, d, `<get-configuration format="set"/>`, "\nset system domain-name x\n</configuration-set>")
}

func TestLocksEndWithTheirSession(t *testing.T) {
	_, address := serve(t, config())
	d, other := dial(t, address), dial(t, address)
	mustHold(t, d, "<lock-configuration/>", "<ok/>")
	mustHold(t, d, load("set system host-name lost"), "<ok/>")
	// scrapligo takes the end of the connection for an error, at times.
	_, _ = d.RPC(withFilter("<close-session/>"))
	eventually(t, "the lock released", func() bool {
		return strings.Contains(rpc(t, other, "<lock-configuration/>"), "<ok/>")
	})
	mustHold(t, other, `<get-configuration format="set"/>`, "set system host-name leaf1")
}

func TestCommitConfirmed(t *testing.T) {
	cfg := config()
	cfg.Minute = 200 * time.Millisecond
	device, address := serve(t, cfg)
	d := dial(t, address)
	hostName := func() string {
		for line := range strings.Lines(rpc(t, d, committed)) {
			if name, found := strings.CutPrefix(line, "set system host-name "); found {
				return strings.TrimSpace(name)
			}
		}
		return ""
	}
	mustHold(t, d, load("set system host-name brief"), "<ok/>")
	mustHold(t, d, "<commit-configuration><confirmed/><confirm-timeout>5</confirm-timeout></commit-configuration>",
		"commit confirmed will be automatically rolled back in 5 minutes unless confirmed", "<ok/>")
	eventually(t, "rolled back", func() bool { return hostName() == "leaf1" && !device.Committing() })
	history := device.History()
	if tried := history[len(history)-2]; tried.Database != "static" || !strings.Contains(tried.Diff, "+  host-name brief;") {
		t.Errorf("last change but one: %+v", tried)
	}
	if last := history[len(history)-1]; last.Database != "rollback" || !strings.Contains(last.Diff, "+  host-name leaf1;") {
		t.Errorf("last change: %+v", last)
	}

	mustHold(t, d, load("set system host-name kept"), "<ok/>")
	mustHold(t, d, "<commit-configuration><confirmed/><confirm-timeout>100</confirm-timeout></commit-configuration>", "<ok/>")
	mustHold(t, d, commit, "<ok/>")
	before := len(device.History())
	// Another confirmed commit with a shorter time shows that the first timer is gone.
	mustHold(t, d, load("set system host-name again"), "<ok/>")
	mustHold(t, d, "<commit-configuration><confirmed/><confirm-timeout>1</confirm-timeout></commit-configuration>", "<ok/>")
	eventually(t, "rolled back to the confirmed one", func() bool { return hostName() == "kept" && !device.Committing() })
	if n := len(device.History()) - before; n != 2 {
		t.Errorf("%d changes, want the commit and its rollback", n)
	}
	mustHold(t, d, "<commit-configuration><confirmed/><confirm-timeout>0</confirm-timeout></commit-configuration>", "not within range (1..65535)")
}

func TestKillSession(t *testing.T) {
	_, address := serve(t, config())
	d, other := dial(t, address), dial(t, address)
	mustHold(t, d, "<lock-configuration/>", "<ok/>")
	mustHold(t, other, "<kill-session><session-id>1</session-id></kill-session>", "no such session")
	mustHold(t, other, "<kill-session><session-id>19314</session-id></kill-session>", "<ok/>")
	eventually(t, "the lock of the killed session released", func() bool {
		return strings.Contains(rpc(t, other, "<lock-configuration/>"), "<ok/>")
	})
}

func TestCompliantReplies(t *testing.T) {
	cfg := config()
	cfg.Static += "set system services netconf rfc-compliant\n"
	_, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, "<lock-configuration/>", `<nc:rpc-reply xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0"`, "<nc:ok/>")
	reply := mustHold(t, d, commit, "<nc:ok/>")
	if strings.Contains(reply, "commit-results") {
		t.Errorf("commit-results in a compliant reply: %s", reply)
	}
	reply = mustHold(t, d, loadXML("merge", `<system><domain-name delete="delete"/></system>`), "<nc:ok/>")
	if strings.Contains(reply, "warning") {
		t.Errorf("a warning beside ok: %s", reply)
	}
	mustHold(t, d, "<get-interface-information><interface-name>x</interface-name></get-interface-information>", "<nc:rpc-error>")
	mustHold(t, d, "<get-system-information/>", "<system-information>")
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	cfg := config()
	cfg.Static = "set protocols bgp grup x"
	if _, err := junos.New(cfg); err == nil || !strings.Contains(err.Error(), "grup") {
		t.Errorf("unknown statement: %v", err)
	}
	cfg.Static = "set protocols bgp group g neighbor 192.0.2.1 peer-as 1"
	if _, err := junos.New(cfg); err == nil || !strings.Contains(err.Error(), "autonomous-system") {
		t.Errorf("failing check: %v", err)
	}
}
