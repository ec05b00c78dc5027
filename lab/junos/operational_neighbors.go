package junos

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// neighborTable reads the kernel's table on the mapped interfaces. What the
// kernel resolved before and has failed to since is unreachable, like what it
// has never resolved; permanent and multicast entries are not learned ones.
func (d *Device) neighborTable() (table []Neighbor, err error) {
	if d.cfg.World != nil {
		table = d.cfg.World.neighbors()
		sortNeighbors(table)
		return table, nil
	}
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
				n.Interface = names[entries[i].LinkIndex]
				table = append(table, n)
			}
		}
		return nil
	})
	sortNeighbors(table)
	return table, err
}

// junosNeighbor translates one entry, if it is a learned one.
func junosNeighbor(e *netlink.Neigh) (n Neighbor, learned bool) {
	n = Neighbor{Address: e.IP.String(), MAC: e.HardwareAddr.String(), Router: e.Flags&netlink.NTF_ROUTER != 0}
	life := 0
	switch e.State {
	case unix.NUD_REACHABLE:
		n.State, life = "reachable", reachableLife
	case unix.NUD_STALE:
		n.State, life = "stale", staleLife
	case unix.NUD_DELAY:
		n.State, life = "delay", delayLife
	case unix.NUD_PROBE:
		n.State, life = "probe", delayLife
	case unix.NUD_INCOMPLETE, unix.NUD_FAILED:
		n.State, n.MAC = "unreachable", ""
	default:
		return Neighbor{}, false
	}
	if n.MAC == "" {
		n.MAC = "none"
	}
	n.Expire = max(life-int(e.Updated/kernelTick), 0)
	return n, true
}

func (s *session) neighbors(_ context.Context, request *element, w *writer) error {
	table, err := s.device.neighborTable()
	if err != nil {
		return err
	}
	logical, host := request.value("interface"), request.value("host")
	if logical != "" || host != "" {
		table = slices.DeleteFunc(table, func(n Neighbor) bool {
			return logical != "" && n.Interface != logical || host != "" && n.Address != host
		})
	}
	w.payload("ipv6-nd-information", "") // recorded without a namespace
	shown := s.rows(len(table))
	for i := range table[:shown] {
		writeNeighbor(w, &table[i])
		if err := w.spill(); err != nil {
			return err
		}
	}
	if _, emptied := s.struck(FaultEmpty); emptied {
		table = nil
	}
	if !w.table.NoTotal {
		w.number("ipv6-nd-total", len(table))
	}
	w.close()
	return nil
}

func writeNeighbor(w *writer, n *Neighbor) {
	yes := "no"
	if n.Router {
		yes = "yes"
	}
	address, logical := n.Address, n.Interface
	if w.table.UpperCase {
		address = strings.ToUpper(address)
	}
	if w.table.Bridged && strings.HasPrefix(logical, "irb.") {
		logical += " [xe-0/0/3.0]"
	}
	w.open("ipv6-nd-entry")
	w.leaf("ipv6-nd-neighbor-address", address)
	w.leaf("ipv6-nd-neighbor-l2-address", n.MAC)
	w.leaf("ipv6-nd-state", n.State)
	w.number("ipv6-nd-expire", n.Expire)
	w.leaf("ipv6-nd-isrouter", yes)
	w.leaf("ipv6-nd-issecure", "no")
	w.leaf("ipv6-nd-interface-name", logical)
	if w.table.Flags {
		w.number("ipv6-nd-reference-count", 1)
		w.open("ipv6-nd-table-entry-flags")
		for _, flag := range n.Flags {
			w.empty(flag)
		}
		if len(n.Flags) == 0 {
			w.empty("none")
		}
		w.close()
	}
	w.close()
}
