package kernel

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// firstID is where our next-hop objects are numbered from. The numbers are shared by all programs of a namespace and most
// count up from 1; a number that is taken all the same is skipped.
const firstID = 0x6c6d0000

// store is where next hops and groups are kept: in the kernel, or only in our books where routes carry their next hops
// themselves.
type store interface {
	addHop(id uint32, h hop) error
	setGroup(id uint32, members []hop, exists bool) error
	remove(id uint32) error // one that is gone is no error
	list() (map[uint32]object, error)
}

// hop is a next hop. Its number is 0 until it is stored.
type hop struct {
	id   uint32
	addr netip.Addr // link-local, with the link's name as zone
	link int        // its index
}

// object is what a store has under a number: a next hop, or the group of its members.
type object struct {
	gateway netip.Addr // without a zone
	link    int
	members []uint32 // nil for a next hop
	buckets uint16   // of a resilient group
	odd     bool     // a group that we would make otherwise
}

// objects are our next-hop objects and groups, as far as we know.
type objects struct {
	store  store
	links  *netlink.Handle
	hops   map[netip.Addr]hop
	groups map[uint32]*group
	lastID uint32
}

// group is a next-hop group. Two groups may have the same members: the kernel shrinks groups, and so do we.
type group struct {
	id     uint32
	key    string       // names the set of members, see setKey
	hops   []netip.Addr // sorted, never changed in place
	routes int          // how many routes we believe point at it
}

// setKey names a sorted set of addresses.
func setKey(hops []netip.Addr) string {
	var key []byte
	for _, a := range hops {
		key = appendKey(key, a)
	}
	return string(key)
}

func appendKey(key []byte, a netip.Addr) []byte {
	raw := a.As16()
	key = append(key, raw[:]...)
	key = append(key, a.Zone()...)
	return append(key, 0)
}

// nextHop makes sure that there is a next-hop object for a, a zoned link-local address.
func (o *objects) nextHop(a netip.Addr) error {
	if _, ok := o.hops[a]; ok {
		return nil
	}
	if !a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() == "" {
		return fmt.Errorf("next hop %s is not an IPv6 link-local address with a zone: %w", a, unix.EINVAL)
	}
	link, err := o.links.LinkByName(a.Zone())
	if err != nil {
		return fmt.Errorf("finding the link of next hop %s: %w", a, err)
	}
	h := hop{addr: a, link: link.Attrs().Index}
	h.id, err = o.create(func(id uint32) error { return o.store.addHop(id, h) })
	if err != nil {
		return fmt.Errorf("creating next hop %s: %w", a, err)
	}
	o.hops[a] = h
	return nil
}

// group returns the group of exactly these next hops, all of which have objects, and creates it if there is none.
func (o *objects) group(key string, hops []netip.Addr) (*group, error) {
	if g := o.find(key); g != nil {
		return g, nil
	}
	id, err := o.create(func(id uint32) error { return o.store.setGroup(id, o.members(hops), false) })
	if err != nil {
		return nil, fmt.Errorf("creating next-hop group %v: %w", hops, err)
	}
	g := &group{id: id, key: key, hops: hops}
	o.groups[id] = g
	return g, nil
}

// find returns the oldest group of the set, nil without one. There are few groups: one for each set of leaves in use.
func (o *objects) find(key string) *group {
	var found *group
	for _, g := range o.groups {
		if g.key == key && (found == nil || g.id < found.id) {
			found = g
		}
	}
	return found
}

// replace gives g other members, and with it all its routes, in one message.
func (o *objects) replace(g *group, key string, hops []netip.Addr) error {
	if err := o.store.setGroup(g.id, o.members(hops), true); err != nil {
		return fmt.Errorf("changing next-hop group %d to %v: %w", g.id, hops, err)
	}
	g.key, g.hops = key, hops
	return nil
}

// members returns the next hops of the addresses.
func (o *objects) members(hops []netip.Addr) []hop {
	members := make([]hop, len(hops))
	for i, a := range hops {
		members[i] = o.hops[a]
	}
	return members
}

// create gives the next number that is free to add.
func (o *objects) create(add func(id uint32) error) (uint32, error) {
	const tries = 1000
	var err error
	for range tries {
		o.lastID = max(o.lastID+1, firstID)
		if err = add(o.lastID); !errors.Is(err, unix.EEXIST) {
			return o.lastID, err
		}
	}
	return 0, err
}

// sweep removes groups without routes and next hops without groups.
func (o *objects) sweep() error {
	var errs []error
	used := make(map[netip.Addr]bool)
	for id, g := range o.groups {
		if g.routes == 0 {
			errs = append(errs, o.store.remove(id))
			delete(o.groups, id)
			continue
		}
		for _, a := range g.hops {
			used[a] = true
		}
	}
	for a, h := range o.hops {
		if !used[a] {
			errs = append(errs, o.store.remove(h.id))
			delete(o.hops, a)
		}
	}
	return errors.Join(errs...)
}

// adopt takes over the next hops and groups that are stored. A group that is not as we would make it is taken over too, for
// its routes, under a key that no order has. It returns the numbers of what is of no use, groups first.
func (o *objects) adopt() (useless []uint32, err error) {
	have, err := o.store.list()
	if err != nil {
		return nil, err
	}
	known := make(map[uint32]netip.Addr)
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if have[id].members != nil {
			continue
		}
		h, ok := o.recognize(id, have[id])
		if _, again := o.hops[h.addr]; !ok || again {
			useless = append(useless, id)
			continue
		}
		o.hops[h.addr] = h
		known[id] = h.addr
	}
	for id, object := range have {
		if object.members == nil {
			continue
		}
		hops, exact := namesOf(object.members, known)
		g := &group{id: id, key: setKey(hops), hops: hops}
		if !exact || object.odd {
			g.key = fmt.Sprint("inherited ", id)
		}
		o.groups[id] = g
	}
	return useless, nil
}

// recognize tells which next hop it is that is stored under the number.
func (o *objects) recognize(id uint32, stored object) (hop, bool) {
	link, err := o.links.LinkByIndex(stored.link)
	if err != nil || !stored.gateway.IsLinkLocalUnicast() {
		return hop{}, false
	}
	return hop{id: id, addr: stored.gateway.WithZone(link.Attrs().Name), link: stored.link}, true
}

// namesOf returns the sorted addresses of a group's members, and whether all of them are known and differ.
func namesOf(members []uint32, known map[uint32]netip.Addr) (hops []netip.Addr, exact bool) {
	for _, id := range members {
		if a, ok := known[id]; ok {
			hops = append(hops, a)
		}
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	hops = slices.Compact(hops)
	return hops, len(hops) == len(members)
}

// resync learns which objects are left in the store and with which members. It forgets the others and returns the groups
// that are gone, whose routes the kernel removed with them, and those that shrank, and whether anything differed.
func (o *objects) resync() (gone, shrunk []*group, changed bool, err error) {
	have, err := o.store.list()
	if err != nil {
		return nil, nil, false, err
	}
	known := make(map[uint32]netip.Addr)
	for a, h := range o.hops {
		if _, ok := have[h.id]; !ok {
			delete(o.hops, a)
			changed = true
			continue
		}
		known[h.id] = a
	}
	for id, g := range o.groups {
		stored, ok := have[id]
		if !ok {
			delete(o.groups, id)
			gone = append(gone, g)
			continue
		}
		hops, _ := namesOf(stored.members, known)
		if !slices.Equal(hops, g.hops) {
			g.key, g.hops = setKey(hops), hops
			shrunk = append(shrunk, g)
		}
	}
	return gone, shrunk, changed || len(gone)+len(shrunk) > 0, nil
}
