package junos

import (
	"context"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lastmile/switchagent/netconf"
)

// Neighbor is a link-local entry of the IPv6 neighbour table.
type Neighbor struct {
	Addr      netip.Addr // without a zone
	Interface string     // the logical one, such as ge-0/0/1.0
	MAC       string     // aa:bb:cc:dd:ee:ff; "" while it is not resolved
	State     string     // reachable, stale, delay, probe, unreachable, incomplete, ...
	Router    bool       // it called itself a router in a neighbour or router advertisement
}

// Peer is the address with the interface as its zone: fe80::1%ge-0/0/1.0. A table has none of these, as net/netip
// keeps each zone that it sees in a table of its own, which would take as long as all the rest of a poll.
func (n Neighbor) Peer() netip.Addr { return n.Addr.WithZone(n.Interface) }

// Neighbors reads the link-local entries of all tables (get-ipv6-nd-information, "show ipv6
// neighbors"). The reply names no routing instance. A count that does not fit is ErrTruncated.
func (c *Client) Neighbors(ctx context.Context) ([]Neighbor, error) {
	table := newTable(c.lastTable)
	_, err := c.call(ctx, netconf.Call{Body: "<get-ipv6-nd-information/>", Elements: elements{
		"ipv6-nd-information": table.begin, "ipv6-nd-entry": table.entry, "ipv6-nd-total": table.total,
	}})
	if err != nil {
		return nil, err
	}
	c.lastTable = len(table.neighbors)
	return table.neighbors, table.err
}

// ndTable collects the entries of a reply, which has a table for each routing engine.
type ndTable struct {
	neighbors []Neighbor
	index     map[uint64]int32 // in neighbors, by the hash of address and interface
	seed      maphash.Seed
	states    map[string]string // in lower case, by how they came
	entries   int               // of this engine's table, those of no interest included
	read      ndEntry
	fields    netconf.Fields // into read
	err       error
}

// newTable has room for as many neighbours as there were last time.
func newTable(last int) *ndTable {
	t := &ndTable{seed: maphash.MakeSeed(), index: make(map[uint64]int32, last), states: map[string]string{}}
	t.neighbors = slices.Grow(t.neighbors, last)
	t.fields = t.read.field
	return t
}

// ndEntry is the texts of an entry. All entries of a table are read into the same.
type ndEntry struct {
	address, mac, state, router, ifl []byte
	notHere                          bool // it is no machine on the port
}

// field takes the text of an element in the entry.
func (e *ndEntry) field(path, text []byte) {
	var into *[]byte
	switch string(path) {
	case "ipv6-nd-neighbor-address":
		into = &e.address
	case "ipv6-nd-neighbor-l2-address":
		into = &e.mac
	case "ipv6-nd-state":
		into = &e.state
	case "ipv6-nd-isrouter":
		into = &e.router
	case "ipv6-nd-interface-name":
		into = &e.ifl
	// Flags are there from 23.4R1 on.
	case "ipv6-nd-table-entry-flags/virtual-gateway-address", "ipv6-nd-table-entry-flags/remotely-learnt-address":
		e.notHere = true
		return
	default:
		return
	}
	*into = append((*into)[:0], text...)
}

func (e *ndEntry) clear() {
	*e = ndEntry{address: e.address[:0], mac: e.mac[:0], state: e.state[:0], router: e.router[:0], ifl: e.ifl[:0]}
}

func (t *ndTable) begin(func(any) error) error {
	t.entries = 0
	return nil
}

func (t *ndTable) entry(decode func(any) error) error {
	e := &t.read
	e.clear()
	if err := decode(t.fields); err != nil {
		return err
	}
	t.entries++
	addr, ok := text(e.address).addr()
	ifl := text(e.ifl).logical()
	if !ok || !addr.Is6() || !addr.IsLinkLocalUnicast() || ifl == "" || e.notHere {
		return nil
	}
	state, known := t.states[string(e.state)]
	if !known {
		state = strings.ToLower(string(e.state))
		t.states[string(e.state)] = state
	}
	n := Neighbor{Addr: addr.WithZone(""), Interface: ifl, State: state, Router: string(e.router) == "yes"}
	if mac, err := net.ParseMAC(string(e.mac)); err == nil {
		n.MAC = mac.String()
	}
	t.add(n)
	return nil
}

// add keeps one entry for each address on an interface: of two engines, the one that has resolved it.
func (t *ndTable) add(n Neighbor) {
	type place struct {
		addr netip.Addr
		ifl  string
	}
	hash := maphash.Comparable(t.seed, place{n.Addr, n.Interface})
	if i, known := t.index[hash]; known && t.neighbors[i].Addr == n.Addr && t.neighbors[i].Interface == n.Interface {
		if t.neighbors[i].MAC == "" {
			t.neighbors[i] = n
		}
		return
	}
	t.index[hash] = int32(len(t.neighbors))
	t.neighbors = append(t.neighbors, n)
}

func (t *ndTable) total(decode func(any) error) error {
	var total text
	if err := decode(&total); err != nil {
		return err
	}
	if n, err := strconv.Atoi(string(total)); (err != nil || n != t.entries) && t.err == nil {
		t.err = fmt.Errorf("ipv6 neighbours: %w: ipv6-nd-total is %q, %d entries came", ErrTruncated, total, t.entries)
	}
	return nil
}

// RouterAdvertisements reads who was heard advertising on which interface
// (get-ipv6-ra-information, "show ipv6 router-advertisement"); the zone of each address is the
// interface. Only interfaces under "protocols router-advertisement" listen. An advertisement
// stays listed long after it was heard, and the lifetime in it says nothing: a peer that does not
// want to be a default router advertises zero.
func (c *Client) RouterAdvertisements(ctx context.Context) ([]netip.Addr, error) {
	var ifl string
	var senders []netip.Addr
	_, err := c.call(ctx, netconf.Call{Body: "<get-ipv6-ra-information/>", Elements: elements{
		"ipv6-ra-interface": func(func(any) error) error { ifl = ""; return nil },
		"interface-name": func(decode func(any) error) error {
			var name text
			err := decode(&name)
			ifl = name.logical()
			return err
		},
		"ipv6-source-address": func(decode func(any) error) error {
			var source text
			err := decode(&source)
			if addr, ok := source.linkLocal(ifl); ok {
				senders = append(senders, addr)
			}
			return err
		},
	}})
	if err != nil {
		return nil, err
	}
	return senders, nil
}
