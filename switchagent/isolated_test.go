package switchagent

import (
	"net/netip"
	"testing"

	"lastmile/switchagent/junos"
)

// TestManyPortsIsolated: an inventory that has lost most of its ports is not believed either where who is not listed is put
// into quarantine: there too every one of them would accept nothing, at once.
func TestManyPortsIsolated(t *testing.T) {
	p := listed(t, func(p *policy) { p.unknown, p.perPort = unknownQuarantine, 4 })
	var seen tables
	for i := range 4 {
		s := stanza(peer(1+i, 0))
		s.Import = junos.Accept([]uint32{64512}, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, false)
		if i%2 == 0 {
			s.Import = junos.Import{} // what the group accepts
		}
		seen.neighbors = append(seen.neighbors, router(s.Peer))
		seen.stanzas = append(seen.stanzas, s)
	}
	got := p.plan(epoch, seen, nil).guarded(free()).bounded(bound{most: 20, share: 50})
	if !got.empty() || got.withheld != 4 {
		t.Errorf("%s, %d withheld", got, got.withheld)
	}
}
