package junos

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelTick is the unit of the kernel's ages of neighbours, USER_HZ.
const kernelTick = 100 // a second

// Lives of a neighbour entry in its states, in seconds: RFC 4861's, and for
// stale what Junos gives by default.
const (
	reachableLife = 30
	delayLife     = 5
	staleLife     = 1200
)

// A neighbor is an entry of the kernel's table in Junos' words.
type neighbor struct {
	address, mac, state, logical string
	router                       bool
	expire                       int
}

// neighborTable reads the kernel's table on the mapped interfaces. What the
// kernel resolved before and has failed to since is unreachable, like what it
// has never resolved; permanent and multicast entries are not learned ones.
func (d *Device) neighborTable() (table []neighbor, err error) {
	err = d.in(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return fmt.Errorf("listing links: %w", err)
		}
		names := map[int]string{}
		for _, l := range links {
			if logical, mapped := d.names.logical(l.Attrs().Name); mapped {
				names[l.Attrs().Index] = logical
			}
		}
		entries, err := netlink.NeighList(0, netlink.FAMILY_V6)
		if err != nil {
			return fmt.Errorf("listing neighbours: %w", err)
		}
		for i := range entries {
			if n, learned := junosNeighbor(&entries[i]); learned && names[entries[i].LinkIndex] != "" {
				n.logical = names[entries[i].LinkIndex]
				table = append(table, n)
			}
		}
		return nil
	})
	slices.SortFunc(table, func(a, b neighbor) int {
		return cmp.Or(cmp.Compare(a.logical, b.logical), cmp.Compare(a.address, b.address))
	})
	return table, err
}

// junosNeighbor translates one entry, if it is a learned one.
func junosNeighbor(e *netlink.Neigh) (n neighbor, learned bool) {
	n = neighbor{address: e.IP.String(), mac: e.HardwareAddr.String(), router: e.Flags&netlink.NTF_ROUTER != 0}
	life := 0
	switch e.State {
	case unix.NUD_REACHABLE:
		n.state, life = "reachable", reachableLife
	case unix.NUD_STALE:
		n.state, life = "stale", staleLife
	case unix.NUD_DELAY:
		n.state, life = "delay", delayLife
	case unix.NUD_PROBE:
		n.state, life = "probe", delayLife
	case unix.NUD_INCOMPLETE, unix.NUD_FAILED:
		n.state, n.mac = "unreachable", ""
	default:
		return neighbor{}, false
	}
	if n.mac == "" {
		n.mac = "none"
	}
	n.expire = max(life-int(e.Updated/kernelTick), 0)
	return n, true
}

func (s *session) neighbors(_ context.Context, request *element, w *writer) error {
	table, err := s.device.neighborTable()
	if err != nil {
		return err
	}
	logical, host := request.value("interface"), request.value("host")
	table = slices.DeleteFunc(table, func(n neighbor) bool {
		return logical != "" && n.logical != logical || host != "" && n.address != host
	})
	yes := map[bool]string{true: "yes", false: "no"}
	w.payload("ipv6-nd-information", "") // recorded without a namespace
	for _, n := range table {
		w.open("ipv6-nd-entry")
		w.leaf("ipv6-nd-neighbor-address", n.address)
		w.leaf("ipv6-nd-neighbor-l2-address", n.mac)
		w.leaf("ipv6-nd-state", n.state)
		w.number("ipv6-nd-expire", n.expire)
		w.leaf("ipv6-nd-isrouter", yes[n.router])
		w.leaf("ipv6-nd-issecure", "no")
		w.leaf("ipv6-nd-interface-name", n.logical)
		w.close()
	}
	w.number("ipv6-nd-total", len(table))
	w.close()
	return nil
}
