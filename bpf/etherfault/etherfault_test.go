package etherfault_test

import (
	"context"
	"strings"
	"testing"

	"lastmile/bpf/etherfault"
	"lastmile/lab/netns"
)

// newRow is near - leaf - far: the leaf forwards between the two servers.
func newRow(t *testing.T) (near, leaf *netns.NS) {
	t.Helper()
	near, leaf = netns.ForTest(t, "near"), netns.ForTest(t, "leaf")
	for i, ns := range []*netns.NS{near, netns.ForTest(t, "far")} {
		port, address := []string{"port0", "port1"}[i], []string{"192.0.2.1", "192.0.2.2"}[i]
		if err := netns.Veth(ns, "up0", leaf, port); err != nil {
			t.Fatal(err)
		}
		runIn(t, ns, "ip address add "+address+" peer 192.0.2.254 dev up0")
		runIn(t, ns, "ip route add default via 192.0.2.254")
		runIn(t, leaf, "ip address add 192.0.2.254 peer "+address+" dev "+port)
	}
	if err := leaf.Sysctl("net.ipv4.ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	return near, leaf
}

func TestOnlyWhatTheLeafSendsItselfIsMarked(t *testing.T) {
	near, leaf := newRow(t)
	pings := func(to string) bool {
		_, err := near.Run(context.Background(), "ping", "-c1", "-W1", to)
		return err == nil
	}
	has := func() (on bool) {
		if err := leaf.Do(func() (err error) { on, err = etherfault.Has("port0"); return err }); err != nil {
			t.Fatal(err)
		}
		return on
	}
	change := func(do func(string) error) {
		t.Helper()
		for range 2 { // giving it twice changes nothing
			if err := leaf.Do(func() error { return do("port0") }); err != nil {
				t.Fatal(err)
			}
		}
	}

	change(etherfault.Off) // never there
	if has() {
		t.Error("it is there before it was given")
	}
	if !pings("192.0.2.254") {
		t.Fatal("the leaf does not answer to begin with")
	}
	before := headerErrors(t, runIn(t, near, "cat /proc/thread-self/net/snmp6"))
	change(etherfault.On)
	if !has() {
		t.Error("it was given and is not there")
	}
	if pings("192.0.2.254") {
		t.Error("with the fault, the leaf's own answer arrived")
	}
	if !pings("192.0.2.2") {
		t.Error("with the fault, a packet in transit did not arrive")
	}
	if after := headerErrors(t, runIn(t, near, "cat /proc/thread-self/net/snmp6")); after == before {
		t.Error("Ip6InHdrErrors did not rise")
	}
	change(etherfault.Off)
	if !pings("192.0.2.254") {
		t.Error("without the fault again, the leaf does not answer")
	}
}

func runIn(t *testing.T, ns *netns.NS, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := ns.Run(context.Background(), words[0], words[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func headerErrors(t *testing.T, snmp6 string) string {
	for line := range strings.Lines(snmp6) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Ip6InHdrErrors" {
			return f[1]
		}
	}
	t.Fatalf("no Ip6InHdrErrors in %s", snmp6)
	return ""
}
