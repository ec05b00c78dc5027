package junos_test

import (
	"fmt"
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// crowd is a device with n servers in its neighbour table.
func crowd(t testing.TB, n int) (*junos.Device, string) {
	t.Helper()
	w := junos.NewWorld()
	w.SetNeighbors(junos.SyntheticNeighbors(n, n))
	cfg := config()
	cfg.NS, cfg.Router, cfg.World = nil, nil, w
	return serve(t, cfg)
}

// TestLargeTable: what leaves in parts arrives as a whole, in both framings.
func TestLargeTable(t *testing.T) {
	const n = 50_000
	_, address := crowd(t, n)
	r := mustConnect(t, address)
	for range 2 { // the session is good for another
		reply, err := r.call(neighbors)
		if err != nil || strings.Count(reply, "</ipv6-nd-entry>") != n || !strings.HasSuffix(reply, "<ipv6-nd-total>50000</ipv6-nd-total>\n</ipv6-nd-information>\n</rpc-reply>\n") {
			t.Fatalf("%v: %d entries in %d bytes", err, strings.Count(reply, "</ipv6-nd-entry>"), len(reply))
		}
	}
	seen := map[string]bool{}
	for _, s := range junos.SyntheticNeighbors(n, 1000) {
		seen[s.Address] = true
	}
	if len(seen) != n {
		t.Errorf("%d different addresses", len(seen))
	}
	cfg := config()
	w := junos.NewWorld()
	w.SetNeighbors(junos.SyntheticNeighbors(1000, 1000))
	cfg.NS, cfg.Router, cfg.World, cfg.Version = nil, nil, w, "24.4R1.9"
	cfg.Static += "set system services netconf rfc-compliant\nset system services netconf version-1.1\n"
	_, address = serve(t, cfg)
	d := dialAs(t, address, "lab", "1.1")
	if reply := rpc(t, d, neighbors); strings.Count(reply, "</ipv6-nd-entry>") != 1000 {
		t.Errorf("in chunks: %d entries", strings.Count(reply, "</ipv6-nd-entry>"))
	}
}

// TestManySessions commits a thousand stanzas at once.
func TestManySessions(t *testing.T) {
	const n = 1000
	servers := junos.SyntheticNeighbors(n, n)
	w := junos.NewWorld()
	w.SetNeighbors(servers)
	cfg := config()
	cfg.NS, cfg.Router, cfg.World = nil, nil, w
	device, _ := serve(t, cfg)
	var lines strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&lines, "set protocols bgp group servers neighbor %s local-interface %s\n", s.Address, s.Interface)
	}
	o := device.Operator("admin")
	defer o.Close()
	if err := o.CommitEphemeral(t.Context(), "lastmile", lines.String()); err != nil {
		t.Fatal(err)
	}
	if up := w.EstablishedCount(); up != n || !w.Established(servers[7].Interface, servers[7].Address) {
		t.Errorf("%d sessions are up", up)
	}
	reply, err := o.RPC(t.Context(), "<get-bgp-summary-information/>")
	if err != nil || strings.Count(reply, ">Established<") != n {
		t.Errorf("%v: %d in the summary", err, strings.Count(reply, ">Established<"))
	}
}

// BenchmarkTable is a whole neighbour table over SSH on the loopback, to a
// client that only reads: what is left of a poll's time is the poller's.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{100, 10_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, address := crowd(b, n)
			r := mustConnect(b, address)
			b.ReportAllocs()
			for b.Loop() {
				reply, err := r.call(neighbors)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(reply)))
			}
		})
	}
}
