//go:build kernels

package uplink_test

import (
	"context"
	"strings"
	"testing"

	"lastmile/bpf/etherfix"
	"lastmile/bpf/uplink"
)

// tags are what lies on an uplink: how it is made there, and what repaired frames are counted as. XDP gets frames without the
// outer tag, which the card (here veth) has taken off; tcx is told of it.
var tags = []struct {
	name, add string
	xdp, tcx  etherfix.Verdict
}{
	{"802.1Q", "ip link add link LINK name tagged type vlan id 7", etherfix.RepairPlain, etherfix.RepairDot1Q},
	{
		"qinq", "ip link add link LINK name outer type vlan proto 802.1ad id 9; ip link set outer up; ip link add link outer name tagged type vlan id 7",
		etherfix.RepairDot1Q, etherfix.RepairQinQ,
	},
}

// TestTags needs the kernel's VLANs, so it is built for `make test-kernels` only.
func TestTags(t *testing.T) {
	for _, tag := range tags {
		for _, mode := range modes(t, uplink.Native, uplink.Generic, uplink.TCX) {
			kind := tag.xdp
			if mode == uplink.TCX {
				kind = tag.tcx
			}
			t.Run(tag.name+" "+string(mode), func(t *testing.T) { tagged(t, tag.add, mode, kind) })
		}
	}
}

func tagged(t *testing.T, add string, mode uplink.Mode, kind etherfix.Verdict) {
	b := newBench(t)
	for line := range strings.SplitSeq(add, "; ") {
		b.run(b.host, strings.Replace(line, "LINK", "up0", 1))
		b.run(b.leaf, strings.Replace(line, "LINK", "port", 1))
	}
	b.run(b.host, "ip link set tagged up")
	b.run(b.leaf, "ip link set tagged up")
	b.run(b.host, "ip address add 192.0.2.1/24 dev tagged")
	b.run(b.leaf, "ip address add 192.0.2.2/24 dev tagged")
	pings := func() bool {
		_, err := b.host.Run(context.Background(), "ping", "-c1", "-W1", "192.0.2.2")
		return err == nil
	}
	b.eventually("the leaf answers without the fault", pings)
	b.breakLeaf()
	if pings() {
		t.Fatal("with the fault and without repair, the leaf's answer arrived")
	}
	h := b.open(repair)
	b.attach(h, mode)
	b.eventually("the leaf answers", pings)
	c, err := h.Counters("up0")
	if err != nil || c.Verdicts[kind] == 0 || c.Verdicts[kind] != c.Repaired() || c.Doubtful() != 0 {
		t.Errorf("counters %+v (%v), want repaired %s only", c, err, kind)
	}
}
