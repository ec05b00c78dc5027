package junos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/switchagent/netconf"
)

// device answers by the name of the operation: with the reply, or the file in testdata, that is
// next in its list; the last one stays. "lost" ends the session.
type device struct {
	t       testing.TB
	replies map[string][]string
	asked   []string // bodies of the calls
	patient []string // names of those that may be silent for minutes
	dead    error
}

func (d *device) Call(_ context.Context, c netconf.Call) (netconf.Reply, error) {
	d.asked = append(d.asked, c.Body)
	if c.Slow && c.Timeout >= time.Minute {
		d.patient = append(d.patient, c.Name())
	}
	name := d.reading(c)
	list := d.replies[name]
	if len(list) == 0 {
		d.t.Errorf("unexpected call %s", c.Body)
		list = []string{"lost"}
	}
	if len(list) > 1 {
		d.replies[name] = list[1:]
	}
	text := list[0]
	if strings.HasSuffix(text, ".xml") {
		file, err := os.ReadFile(filepath.Join("testdata", text))
		if err != nil {
			d.t.Fatal(err)
		}
		text = string(file)
	} else if text == "lost" {
		d.dead = errors.New("connection reset")
		return netconf.Reply{}, d.dead
	} else {
		text = `<rpc-reply message-id="1">` + text + `</rpc-reply>`
	}
	reply, err := c.ReadReply(strings.NewReader(text), "1")
	var refused *netconf.ReplyError
	if err != nil && !errors.As(err, &refused) {
		d.dead = err
	}
	return reply, err
}

// reading is the name of the replies to a call: what is open is "open", and holds nothing unless a test says so;
// of the static configuration and of an instance in the poll it is "get-configuration".
func (d *device) reading(c netconf.Call) string {
	switch {
	case c.Body == `<get-configuration format="xml"/>`:
		if d.replies["open"] == nil {
			d.replies["open"] = []string{"<configuration/>"}
		}
		return "open"
	case c.Name() == "command" && d.replies["command"] == nil:
		return "get-configuration"
	}
	return c.Name()
}

func (d *device) ID() int    { return 19313 }
func (d *device) Err() error { return d.dead }

func (*device) Done() <-chan struct{} { return nil }

func (d *device) Close() error {
	d.dead = errors.New("session was closed")
	return nil
}

func (d *device) client() *Client { return &Client{session: d, trace: func(Trace) {}} }

// one is a client of a device that knows one answer to each of some operations.
func one(t testing.TB, answers map[string]string) *Client {
	d := &device{t: t, replies: map[string][]string{}}
	for rpc, answer := range answers {
		d.replies[rpc] = []string{answer}
	}
	return d.client()
}

// in is the agent's instance.
func in(c *Client) Database {
	return of(c, Options{Kind: Ephemeral, Instance: "lastmile", Load: LoadMerge})
}

func of(c *Client, o Options) Database {
	db, err := c.Database(o, Release{24, 4, 1})
	if err != nil {
		panic(err)
	}
	return db
}

const refusal = `<rpc-error><error-severity>error</error-severity><error-message>permission denied</error-message></rpc-error>`

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func check(t *testing.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, Stanza{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNeighbors(t *testing.T) {
	tests := map[string][]Neighbor{
		"nd.xml": {
			{addr("fe80::5054:ff:fe00:101"), "ge-0/0/1.0", "52:54:00:00:01:01", "reachable", true},
			{addr("fe80::e10:d1"), "irb.100", "f0:2f:a7:38:29:92", "stale", false},
			{addr("fe80::2"), "ge-0/0/2.0", "", "unreachable", false},
		},
		"nd-two-engines.xml": {
			{addr("fe80::1"), "xe-0/0/1.0", "52:54:00:00:00:01", "delay", true},
			{addr("fe80::1"), "xe-0/0/2.0", "52:54:00:00:00:01", "probe", true},
		},
		"": nil, // no table at all
		"<ipv6-nd-information><ipv6-nd-total>0</ipv6-nd-total></ipv6-nd-information>": nil,
		// Without a total, and with an address and an interface that make no sense.
		`<ipv6-nd-information><ipv6-nd-entry><ipv6-nd-neighbor-address>fe80::zz</ipv6-nd-neighbor-address></ipv6-nd-entry>
		<ipv6-nd-entry><ipv6-nd-neighbor-address>fe80::1</ipv6-nd-neighbor-address></ipv6-nd-entry></ipv6-nd-information>`: nil,
	}
	for reply, want := range tests {
		got, err := one(t, map[string]string{"get-ipv6-nd-information": reply}).Neighbors(t.Context())
		check(t, want, got, err)
	}
}

func TestNeighborsTruncated(t *testing.T) {
	for _, total := range []string{"2", "0", "many", ""} {
		reply := "<ipv6-nd-information><ipv6-nd-entry/><ipv6-nd-total>" + total + "</ipv6-nd-total></ipv6-nd-information>"
		_, err := one(t, map[string]string{"get-ipv6-nd-information": reply}).Neighbors(t.Context())
		if !errors.Is(err, ErrTruncated) || errors.Is(err, ErrLost) {
			t.Errorf("total %q, one entry: got %v", total, err)
		}
	}
}

func TestRouterAdvertisements(t *testing.T) {
	client := one(t, map[string]string{"get-ipv6-ra-information": "ra.xml"})
	got, err := client.RouterAdvertisements(t.Context())
	check(t, []netip.Addr{
		addr("fe80::5054:ff:fe00:101%ge-0/0/1.0"), addr("fe80::205:86ff:fe3d:f503%ge-0/0/1.0"), addr("fe80::3%ge-0/0/3.0"),
	}, got, err)
}

func TestSessions(t *testing.T) {
	got, err := one(t, map[string]string{"get-bgp-summary-information": "bgp-summary.xml"}).Sessions(t.Context())
	check(t, []Session{
		{Peer: addr("fe80::5054:ff:fe00:101"), State: "Established", Flaps: 1, Received: 3, Accepted: 2, Elapsed: 247 * time.Second},
		{Peer: addr("fe80::e20:51ff:fed2:1%ge-0/0/2.0"), State: "Active", Elapsed: -1},
		{Peer: addr("10.2.1.254"), State: "Established", Elapsed: -1}, {Peer: addr("fc00:1::1"), State: "Idle", Elapsed: -1},
	}, got, err)
	got, err = one(t, map[string]string{"get-bgp-summary-information": "<output>BGP is not running</output>"}).Sessions(t.Context())
	check(t, []Session(nil), got, err)
	for _, state := range []string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "active"} {
		if !(Session{State: state}).Down() {
			t.Errorf("%q does not count as down", state)
		}
	}
	for _, state := range []string{"Established", "Establ", "", "1/2/2/0", "Idle?"} { // down only if it says so
		if (Session{State: state}).Down() {
			t.Errorf("%q counts as down", state)
		}
	}
}

func TestInterfaces(t *testing.T) {
	got, err := one(t, map[string]string{"get-interface-information": "interfaces.xml"}).Interfaces(t.Context())
	check(t, map[string]Interface{
		"ge-0/0/1.0": {Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::200:ff:fe00:4/64")}},
		"ge-0/0/2.0": {Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.129/32")}},
		"ge-0/0/2.7": {Addrs: []netip.Prefix{{}}},
	}, got, err)
}

func TestFacts(t *testing.T) {
	tests := []struct {
		answers map[string]string
		want    Facts
	}{
		{map[string]string{"get-software-information": "software.xml", "get-system-uptime-information": "uptime.xml"},
			Facts{"leaf1", "qfx5120-48y", "20.4R3.8", 24 * time.Hour}},
		{map[string]string{"get-software-information": "software-12.xml", "get-system-information": "system.xml", "get-system-uptime-information": refusal},
			Facts{"leaf9", "ex4300", "12.1X46-D15.3", 0}},
		{map[string]string{"get-software-information": refusal, "get-system-information": refusal, "get-system-uptime-information": "<x/>"},
			Facts{}},
	}
	for _, tt := range tests {
		got, err := one(t, tt.answers).Facts(t.Context())
		check(t, tt.want, got, err)
	}
}

// TestRefusalsAndLosses: no table is ever half returned, and the two kinds of errors differ.
func TestRefusalsAndLosses(t *testing.T) {
	reads := map[string]func(*Client) error{
		"get-ipv6-nd-information": func(c *Client) error {
			table, err := c.Neighbors(t.Context())
			return either(err, len(table))
		},
		"get-ipv6-ra-information": func(c *Client) error {
			table, err := c.RouterAdvertisements(t.Context())
			return either(err, len(table))
		},
		"get-bgp-summary-information": func(c *Client) error {
			table, err := c.Sessions(t.Context())
			return either(err, len(table))
		},
		"get-interface-information": func(c *Client) error {
			table, err := c.Interfaces(t.Context())
			return either(err, len(table))
		},
		"get-configuration": func(c *Client) error {
			table, err := in(c).Stanzas(t.Context())
			return either(err, len(table))
		},
	}
	whole := map[string]string{
		"get-ipv6-nd-information": "nd.xml", "get-ipv6-ra-information": "ra.xml", "get-bgp-summary-information": "bgp-summary.xml",
		"get-interface-information": "interfaces.xml", "get-configuration": "ephemeral.xml",
	}
	for rpc, read := range reads {
		table, err := os.ReadFile(filepath.Join("testdata", whole[rpc]))
		if err != nil {
			t.Fatal(err)
		}
		_, content, _ := strings.Cut(string(table), "message-id=\"1\">")
		inner := strings.TrimSuffix(strings.TrimSpace(content), "</rpc-reply>")
		for name, tt := range map[string]struct {
			reply string
			lost  bool
		}{
			"refused":         {refusal, false},
			"refused at last": {inner + refusal, false},
			"lost":            {"lost", true},
			"cut off":         {inner[:len(inner)-30], true},
		} {
			err := read(one(t, map[string]string{rpc: tt.reply}))
			if err == nil || errors.Is(err, ErrLost) != tt.lost {
				t.Errorf("%s %s: got %v", rpc, name, err)
			}
		}
	}
}

func either(err error, entries int) error {
	if err != nil && entries > 0 {
		return nil // which the test takes for the fault it is
	}
	return err
}

func TestTrace(t *testing.T) {
	var traces []Trace
	client := one(t, map[string]string{
		"get-ipv6-nd-information": `<rpc-error><error-severity>warning</error-severity><error-message>License key missing</error-message></rpc-error>`,
		"get-ipv6-ra-information": refusal,
	})
	client.trace = func(trace Trace) { traces = append(traces, trace) }
	client.Neighbors(t.Context())
	client.RouterAdvertisements(t.Context())
	if len(traces) != 2 || traces[0].RPC != "get-ipv6-nd-information" || traces[0].Err != nil ||
		traces[0].Warnings[0] != "License key missing" || traces[1].Err == nil {
		t.Errorf("traces: %+v", traces)
	}
}

// FuzzTables: no reply makes a reader panic, and what comes out of it is fit for use.
func FuzzTables(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, content, _ := strings.Cut(string(text), "message-id=\"1\">")
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if reply == "lost" || strings.HasSuffix(reply, ".xml") {
			return // words of the test
		}
		c := one(t, map[string]string{
			"get-ipv6-nd-information": reply, "get-ipv6-ra-information": reply, "get-bgp-summary-information": reply,
			"get-interface-information": reply, "get-configuration": reply, "get-software-information": reply,
			"get-system-information": reply, "get-system-uptime-information": reply, "get-database-usage": reply,
		})
		expectFit(t, c)
		static, _ := c.Static(t.Context())
		static.CheckGroup("servers", true)
		static.Lacks("servers")
		static.Advertises("ge-0/0/1.0")
		static.Discovers("ge-0/0/1.0")
		c.Sessions(t.Context())
		c.Interfaces(t.Context())
		c.Facts(t.Context())
		c.CheckInstance(t.Context(), "lastmile")
	})
}

// expectFit wants what a client reads to be fit for use, if it reads anything.
func expectFit(t *testing.T, c *Client) {
	t.Helper()
	neighbors, _ := c.Neighbors(t.Context())
	for _, n := range neighbors {
		if !n.Addr.IsLinkLocalUnicast() || n.Addr.Zone() != "" || n.Interface == "" || n.Peer().Zone() != n.Interface {
			t.Errorf("neighbour %+v", n)
		}
	}
	senders, _ := c.RouterAdvertisements(t.Context())
	for _, sender := range senders {
		if !sender.IsLinkLocalUnicast() || sender.Zone() == "" {
			t.Errorf("sender %s", sender)
		}
	}
	stanzas, _ := in(c).Stanzas(t.Context())
	for _, s := range stanzas {
		if !s.Peer.Is6() || !s.Peer.IsLinkLocalUnicast() {
			t.Errorf("stanza %+v", s)
		}
	}
	usage, _ := c.DatabaseUsage(t.Context(), "lastmile")
	if usage.Used < 0 || usage.Maximum < 0 {
		t.Errorf("usage %+v", usage)
	}
}

// BenchmarkNeighbors reads a table of 10 000 entries, 4 MB of XML.
func BenchmarkNeighbors(b *testing.B) {
	var table strings.Builder
	table.WriteString("<ipv6-nd-information>\n")
	for i := range 10_000 {
		fmt.Fprintf(&table, `<ipv6-nd-entry>
                <ipv6-nd-neighbor-address>fe80::%x</ipv6-nd-neighbor-address>
                <ipv6-nd-neighbor-l2-address>52:54:00:00:%02x:%02x</ipv6-nd-neighbor-l2-address>
                <ipv6-nd-state>stale</ipv6-nd-state>
                <ipv6-nd-expire>812</ipv6-nd-expire>
                <ipv6-nd-isrouter>yes</ipv6-nd-isrouter>
                <ipv6-nd-issecure>no</ipv6-nd-issecure>
                <ipv6-nd-interface-name>ge-0/0/%d.0</ipv6-nd-interface-name>
            </ipv6-nd-entry>
`, i+1, i/256, i%256, i%48)
	}
	table.WriteString("<ipv6-nd-total>10000</ipv6-nd-total></ipv6-nd-information>")
	client := one(b, map[string]string{"get-ipv6-nd-information": table.String()})
	b.SetBytes(int64(table.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := client.Neighbors(b.Context()); err != nil || len(n) != 10_000 {
			b.Fatal(len(n), err)
		}
	}
}
