package uplink_test

import (
	"context"
	"strings"
	"testing"

	"lastmile/bpf/uplink"
)

// TestTags needs the kernel's VLANs. Where there are none, the test runs of the program over the corpus have to do.
func TestTags(t *testing.T) {
	for name, add := range map[string]string{
		"802.1Q": "ip link add link LINK name tagged type vlan id 7",
		"qinq":   "ip link add link LINK name outer type vlan proto 802.1ad id 9; ip link set outer up; ip link add link outer name tagged type vlan id 7",
	} {
		for _, mode := range []uplink.Mode{uplink.Native, uplink.Generic} {
			t.Run(name+" "+string(mode), func(t *testing.T) { tagged(t, add, mode) })
		}
	}
}

func tagged(t *testing.T, add string, mode uplink.Mode) {
	b := newBench(t)
	if _, err := b.host.Run(context.Background(), "ip", "link", "add", "link", "up0", "name", "probe", "type", "vlan", "id", "1"); err != nil {
		if !strings.Contains(err.Error(), "Unknown device type") && !strings.Contains(err.Error(), "not supported") {
			t.Fatal(err)
		}
		t.Log("this kernel has no VLANs")
		return
	}
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
	if err != nil || c.Repaired() == 0 || c.Doubtful() != 0 {
		t.Errorf("counters %+v (%v)", c, err)
	}
	t.Logf("counters %+v", c)
}
