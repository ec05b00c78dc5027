package junos_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/lab/junos"
)

// world is a device with two servers plugged in, and without a kernel.
func world(t testing.TB, profile string) (junos.Config, *junos.World) {
	t.Helper()
	w := junos.NewWorld("ge-0/0/1.0", "ge-0/0/2.0", "irb.100")
	plug(t, w, "ge-0/0/1.0", "fe80::1")
	plug(t, w, "ge-0/0/2.0", "fe80::abcd")
	cfg := config()
	cfg.NS, cfg.Router, cfg.World = nil, nil, w
	cfg.Static += "set protocols router-advertisement interface ge-0/0/1.0\n"
	if profile != "" {
		var err error
		if cfg.Profile, err = junos.ProfileNamed(profile); err != nil {
			t.Fatal(err)
		}
	}
	return cfg, w
}

func plug(t testing.TB, w *junos.World, logical, address string) {
	t.Helper()
	if err := w.Plug(logical, address, "52:54:00:00:00:01"); err != nil {
		t.Fatal(err)
	}
}

// stanza is a load of one server's neighbor.
func stanza(address, logical string) string {
	return loadXML("merge", "<protocols><bgp><group><name>servers</name><neighbor><name>"+address+
		"</name><local-interface>"+logical+"</local-interface></neighbor></group></bgp></protocols>")
}

const neighbors = "<get-ipv6-nd-information/>"

// habits is what each release answers, and what is not in its answers.
var habits = []struct {
	profile string
	holds   map[string][]string // request -> parts
	lacks   map[string][]string
}{
	{
		"18.4R1",
		map[string][]string{
			openEphemeral:                     {"uncommitted changes will be discarded on exit", "warning", "http://xml.juniper.net/junos/18.4R1/junos"},
			stanza("fe80::1", "ge-0/0/1.0"):   {"<load-success/>"},
			commit:                            {"<ok/>"},
			neighbors:                         {"<ipv6-nd-neighbor-address>\nFE80::ABCD\n</ipv6-nd-neighbor-address>"},
			loadXML("update", "<protocols/>"): {"load update is not supported in the ephemeral"},
			load("set protocols bgp group servers neighbor fe80::2%ge-0/0/1.0"):                           {"invalid ip address or hostname"},
			load("set protocols bgp group g dynamic-neighbor t peer-auto-discovery interface ge-0/0/1.0"): {"<bad-element>peer-auto-discovery</bad-element>"},
			"<commit-configuration><confirmed/></commit-configuration>":                                   {"not supported in this configuration mode"},
		},
		map[string][]string{neighbors: {"ipv6-nd-total"}},
	},
	{
		"20.4R1",
		map[string][]string{
			openEphemeral: {"<rpc-reply", "http://xml.juniper.net/junos/20.4R0/junos"},
			stanza("fe80::1%ge-0/0/1.0", "ge-0/0/1.0"): {"<ok/>"},
			commit:                            {"<ok/>"},
			neighbors:                         {"<!-- keepalive -->", "<ipv6-nd-total>2</ipv6-nd-total>"},
			loadXML("update", "<protocols/>"): {"load update is not supported in the ephemeral"},
		},
		map[string][]string{openEphemeral: {"<ok/>", "rpc-error"}, commit: {"commit-results"}},
	},
	{
		"21.4R1",
		map[string][]string{
			openEphemeral:                    {"<rpc-reply"},
			stanza("fe80::1", "ge-0/0/1.0"):  {"<ok/>"},
			commit:                           {"<ok/>"},
			"<get-bgp-summary-information/>": {"<peer-address>fe80::1</peer-address>", "Established"},
			load("set protocols bgp group g dynamic-neighbor t peer-auto-discovery interface ge-0/0/1.0"): {"<ok/>"},
			load("set protocols bgp rfc8950-compliant"):                                                   {"<bad-element>rfc8950-compliant</bad-element>"},
		},
		nil,
	},
	{
		"24.4R1",
		map[string][]string{
			openEphemeral:                     {"<ok/>"},
			stanza("fe80::1", "ge-0/0/1.0"):   {"<ok/>"},
			commit:                            {"requires 'bgp' license", "<ok/>"},
			neighbors:                         {"<ipv6-nd-reference-count>1<", "<none/>"},
			"<get-bgp-neighbor-information/>": {"<peer-address>fe80::1%ge-0/0/1.0+50172</peer-address>"},
			`<get-ipv6-nd-information><interface xmlns="">ge-0/0/1.0</interface></get-ipv6-nd-information>`: {"syntax error", "<bad-element>interface</bad-element>"},
		},
		nil,
	},
	{
		"rfc-compliant",
		map[string][]string{
			openEphemeral:                   {"<nc:rpc-reply"},
			stanza("fe80::1", "ge-0/0/1.0"): {"<nc:ok/>"},
			commit:                          {`<routing-engine junos:style="show-name">`, "<commit-check-success/>\n<nc:ok/>\n</nc:rpc-reply>"},
		},
		map[string][]string{commit: {"</routing-engine>"}},
	},
}

// TestProfiles commits a stanza on every release, and looks for its habits.
func TestProfiles(t *testing.T) {
	for _, test := range habits {
		t.Run(test.profile, func(t *testing.T) {
			cfg, w := world(t, test.profile)
			device, address := serve(t, cfg)
			d := dial(t, address)
			first := []string{openEphemeral, stanza("fe80::1", "ge-0/0/1.0"), stanza("fe80::1%ge-0/0/1.0", "ge-0/0/1.0"), commit}
			var rest []string
			for request := range test.holds {
				if !slices.Contains(first, request) {
					rest = append(rest, request)
				}
			}
			for _, request := range append(first, rest...) {
				if test.holds[request] == nil {
					continue
				}
				reply := mustHold(t, d, request, test.holds[request]...)
				for _, part := range test.lacks[request] {
					if strings.Contains(reply, part) {
						t.Errorf("%s:\n%s\nwant no %q in it", request, reply, part)
					}
				}
			}
			if !w.Established("ge-0/0/1.0", "fe80::1") || !device.HasNeighbor("fe80::1") {
				t.Errorf("no session; committed: %s", device.Merged())
			}
			mustHold(t, d, "<get-software-information/>", cfg.Profile.Version)
		})
	}
	if _, err := junos.ProfileNamed("12.1"); err == nil || !strings.Contains(err.Error(), "18.4R1, 20.4R1") {
		t.Errorf("an unknown profile: %v", err)
	}
}

// TestStaticCommitReplies is the forms of the answer to a static commit.
func TestStaticCommitReplies(t *testing.T) {
	for profile, want := range map[string]string{
		"18.4R1": "<commit-results>\n</commit-results>\n<ok/>",
		"20.4R1": "message-id=\"102\">\n<ok/>\n</rpc-reply>",
		"21.4R1": "<routing-engine junos:style=\"normal\">\n<name>re0</name>\n<commit-success/>\n</routing-engine>\n</commit-results>\n<ok/>",
		"24.4R1": "Non-existant dump device /dev/ad1s1b\n<routing-engine junos:style=\"show-name\">\n<name>re0</name>\n<commit-check-success/>\n<commit-success/>",
	} {
		cfg, _ := world(t, profile)
		_, address := serve(t, cfg)
		d := dial(t, address)
		mustHold(t, d, load("set system domain-name x.example"), "configuration-results")
		mustHold(t, d, commit, want)
	}
	// Errors of a commit, in commit-results or not.
	for profile, nested := range map[string]bool{"20.4R1": false, "21.4R1": true} {
		cfg, _ := world(t, profile)
		_, address := serve(t, cfg)
		d := dial(t, address)
		mustHold(t, d, load("set protocols bgp group servers neighbor fe80::9"), "<ok/>")
		reply := mustHold(t, d, commit, "local-interface must be configured")
		if strings.Contains(reply, "commit-results") != nested {
			t.Errorf("%s: %s", profile, reply)
		}
	}
}

func TestRoutingEngines(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Profile.Engines = []string{"fpc0", "fpc1"}
	_, address := serve(t, cfg)
	d := dial(t, address)
	reply := mustHold(t, d, "<get-software-information/>",
		"<multi-routing-engine-results>\n<multi-routing-engine-item>\n<re-name>fpc0</re-name>\n<software-information>", "<re-name>fpc1</re-name>")
	if strings.Count(reply, "<junos-version>") != 2 {
		t.Errorf("not one version from each: %s", reply)
	}
	if reply := mustHold(t, d, neighbors, "<re-name>fpc0</re-name>", "<ipv6-nd-total>2<"); strings.Contains(reply, "fpc1") {
		t.Errorf("a table from two: %s", reply)
	}
	mustHold(t, d, load("set system domain-name x.example"), "<ok/>")
	mustHold(t, d, commit, "<name>fpc0</name>", "<name>fpc1</name>")
	mustHold(t, d, "<get-interface-information><interface-name>x</interface-name></get-interface-information>", "device x not found")
}

// TestHellos: that of old releases, and the one that claims too much.
func TestHellos(t *testing.T) {
	cfg, _ := world(t, "")
	cfg.Profile.OldSpelling = true
	reply := exchange(t, cfg, usual, clientHello+closing+"]]>]]>")
	if strings.Contains(reply, ">urn:ietf:params:netconf:") || !strings.Contains(reply, ">urn:ietf:params:xml:ns:netconf:base:1.0<") {
		t.Errorf("capabilities: %s", reply)
	}
	cfg, _ = world(t, "")
	cfg.Profile.ClaimsChunks = true
	reply = exchange(t, cfg, usual, clientHello+closing+"]]>]]>")
	if !strings.Contains(reply, "base:1.1</capability>") || !strings.Contains(reply, "<ok/>\n</rpc-reply>\n<!-- session end") || strings.Contains(reply, "##") {
		t.Errorf("want chunks promised and not sent: %s", reply)
	}
}

// TestHastyConfirm: RFC 6241's confirmed commit on releases that take its
// seconds for no minutes.
func TestHastyConfirm(t *testing.T) {
	cfg, _ := world(t, "18.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, load("set system domain-name brief.example"), "load-success")
	mustHold(t, d, "<commit><confirmed/><confirm-timeout>120</confirm-timeout></commit>", "rolled back in 0 minutes")
	eventually(t, "rolled back", func() bool { return !strings.Contains(device.Committed(), "brief") })
}

// TestLooseOpen: a missing instance is opened in silence, and the load goes to
// the shared candidate.
func TestLooseOpen(t *testing.T) {
	cfg, _ := world(t, "18.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, "<open-configuration><ephemeral-instance>other</ephemeral-instance></open-configuration>", "</rpc-reply>")
	mustHold(t, d, load("set system domain-name astray.example"), "load-success")
	if !strings.Contains(device.Candidate(), "astray") {
		t.Error("where did it go?")
	}
}

// TestSameAddressOnTwoPorts: since 20.4R1 the key holds the interface.
func TestSameAddressOnTwoPorts(t *testing.T) {
	cfg, w := world(t, "20.4R1")
	plug(t, w, "ge-0/0/2.0", "fe80::1")
	_, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	for _, logical := range []string{"ge-0/0/1.0", "ge-0/0/2.0"} {
		mustHold(t, d, stanza("fe80::1%"+logical, logical), "<ok/>")
	}
	mustHold(t, d, commit, "<ok/>")
	if !w.Established("ge-0/0/1.0", "fe80::1") || !w.Established("ge-0/0/2.0", "fe80::1") {
		t.Error("not both sessions are up")
	}
}

// TestWorld counts what commits do to sessions.
func TestWorld(t *testing.T) {
	cfg, w := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o := device.Operator("admin")
	defer o.Close()
	edit := func(lines string) {
		t.Helper()
		if err := o.CommitEphemeral(ctx, "lastmile", lines); err != nil {
			t.Fatalf("%s: %v", lines, err)
		}
	}
	edit("set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0\n" +
		"set protocols bgp group servers neighbor fe80::2 local-interface ge-0/0/2.0")
	mustHold(t, d, "<get-bgp-neighbor-information/>", "<peer-state>Established</peer-state>", "<peer-state>Active</peer-state>")
	mustHold(t, d, "<get-ipv6-ra-information/>", "<ipv6-source-address>fe80::1</ipv6-source-address>")
	mustHold(t, d, "<get-interface-information><terse/></get-interface-information>", "<name>irb.100</name>", "fe80::")
	mustHold(t, d, "<get-route-information/>", "route-information")
	mustHold(t, d, "<get-bfd-session-information/>", "<sessions>0</sessions>")
	edit("set protocols bgp group servers neighbor fe80::1 description harmless")
	if disturbed := w.Disturbed(); len(disturbed) != 0 {
		t.Errorf("a description disturbed %q", disturbed)
	}
	edit("set protocols bgp group servers neighbor fe80::1 hold-time 30")
	edit("delete protocols bgp group servers neighbor fe80::1")
	if got, want := w.Disturbed(), []string{"reset fe80::1%ge-0/0/1.0", "deleted fe80::1%ge-0/0/1.0"}; !slices.Equal(got, want) {
		t.Errorf("disturbed %q, want %q", got, want)
	}
	w.Unplug("ge-0/0/2.0", "fe80::abcd")
	mustHold(t, d, neighbors, "<ipv6-nd-total>1</ipv6-nd-total>")
}
