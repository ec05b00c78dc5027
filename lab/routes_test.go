package lab

import (
	"encoding/json"
	"testing"
)

// Recorded from iproute2 6.1: a route of FRR with 169.254.0.1, one that names
// its hops, and one of a kernel without net.ipv4.nexthop_compat_mode, which
// names its next-hop group only.
const (
	recordedRoutes = `[
{"dst":"default","gateway":"169.254.0.1","dev":"eth0","protocol":"bgp","prefsrc":"10.0.1.1","metric":20,"flags":["onlink"]},
{"dst":"10.0.2.2","protocol":"bgp","prefsrc":"10.0.1.1","metric":20,"flags":[],"nexthops":[
 {"via":{"family":"inet6","host":"fe80::2"},"dev":"eth1","weight":1,"flags":[]},
 {"via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","weight":1,"flags":["dead","linkdown"]}]},
{"dst":"192.168.101.0/24","nhid":7,"protocol":"196","prefsrc":"10.0.1.1","flags":[]},
{"dst":"10.9.9.9","nhid":9,"protocol":"196","flags":[]}]`
	recordedNexthops = `[
{"id":4,"gateway":"fe80::1","dev":"eth0","scope":"link","protocol":"196","flags":[]},
{"id":5,"gateway":"fe80::2","dev":"eth1","scope":"link","protocol":"196","flags":[]},
{"id":7,"group":[{"id":5},{"id":4}],"scope":"global","protocol":"196","flags":[]}]`
)

func TestResolveRoutes(t *testing.T) {
	var routes []ipRoute
	var nexthops []ipNexthop
	if err := json.Unmarshal([]byte(recordedRoutes), &routes); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(recordedNexthops), &nexthops); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0.0.0.0/0 via 169.254.0.1 dev eth0 src 10.0.1.1",
		"10.0.2.2/32 via fe80::2 dev eth1 src 10.0.1.1", // not over the dead link
		"192.168.101.0/24 via fe80::1 dev eth0 via fe80::2 dev eth1 src 10.0.1.1",
		"10.9.9.9/32", // its group is gone
	}
	for i, r := range routes {
		got, err := r.resolve(4, nexthops)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
}
