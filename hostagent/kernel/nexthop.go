package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// firstID is where our next-hop objects are numbered from. The numbers are shared by all programs of a namespace and most
// count up from 1; a number that is taken all the same is skipped.
const firstID = 0x6c6d0000

// dumpTries is how often a listing is asked for when it changes while the kernel makes it.
const dumpTries = 10

// objects are our next-hop objects and groups in the kernel, as far as we know.
type objects struct {
	conn   *conn
	links  *netlink.Handle
	hops   map[netip.Addr]uint32 // numbers of the objects by zoned link-local address
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
	id, err := o.create(func(b *batch, id uint32) {
		b.nextHop(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.AF_INET6, id)
		b.addr(unix.NHA_GATEWAY, a)
		b.uint32(unix.NHA_OIF, uint32(link.Attrs().Index))
	})
	if err != nil {
		return fmt.Errorf("creating next hop %s: %w", a, err)
	}
	o.hops[a] = id
	return nil
}

// group returns the group of exactly these next hops, all of which have objects, and creates it if there is none.
func (o *objects) group(key string, hops []netip.Addr) (*group, error) {
	if g := o.find(key); g != nil {
		return g, nil
	}
	id, err := o.create(func(b *batch, id uint32) {
		b.nextHop(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.AF_UNSPEC, id)
		b.attr(unix.NHA_GROUP, o.members(hops))
	})
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
	b := new(batch)
	b.nextHop(unix.RTM_NEWNEXTHOP, unix.NLM_F_REPLACE, unix.AF_UNSPEC, g.id)
	b.attr(unix.NHA_GROUP, o.members(hops))
	if err := o.do(b); err != nil {
		return fmt.Errorf("changing next-hop group %d to %v: %w", g.id, hops, err)
	}
	g.key, g.hops = key, hops
	return nil
}

// members encodes struct nexthop_grp of linux/nexthop.h for each address, with equal weights.
func (o *objects) members(hops []netip.Addr) []byte {
	var raw []byte
	for _, a := range hops {
		raw = binary.NativeEndian.AppendUint32(raw, o.hops[a])
		raw = append(raw, 0, 0, 0, 0)
	}
	return raw
}

// create sends the message that describe builds, with the next number that is free.
func (o *objects) create(describe func(b *batch, id uint32)) (uint32, error) {
	const tries = 1000
	var err error
	for range tries {
		o.lastID = max(o.lastID+1, firstID)
		b := new(batch)
		describe(b, o.lastID)
		if err = o.do(b); !errors.Is(err, unix.EEXIST) {
			return o.lastID, err
		}
	}
	return 0, err
}

// do sends one message and returns the kernel's answer.
func (o *objects) do(b *batch) error {
	failed, err := o.conn.exchange(b)
	if err != nil {
		return err
	}
	return failed[0]
}

// sweep removes groups without routes and next hops without groups.
func (o *objects) sweep() error {
	var errs []error
	used := make(map[netip.Addr]bool)
	for id, g := range o.groups {
		if g.routes == 0 {
			errs = append(errs, o.remove(id))
			delete(o.groups, id)
			continue
		}
		for _, a := range g.hops {
			used[a] = true
		}
	}
	for a, id := range o.hops {
		if !used[a] {
			errs = append(errs, o.remove(id))
			delete(o.hops, a)
		}
	}
	return errors.Join(errs...)
}

// remove deletes an object. The kernel removes objects by itself when a link goes, so one that is gone is fine.
func (o *objects) remove(id uint32) error {
	b := new(batch)
	b.nextHop(unix.RTM_DELNEXTHOP, 0, unix.AF_UNSPEC, id)
	if err := o.do(b); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing next-hop object %d: %w", id, err)
	}
	return nil
}

// clear removes all objects of our protocol, groups first: with them the kernel removes the routes that use them.
func (o *objects) clear() error {
	have, err := o.list()
	if err != nil {
		return err
	}
	var errs []error
	for _, groups := range []bool{true, false} {
		for id, members := range have {
			if (members != nil) == groups {
				errs = append(errs, o.remove(id))
			}
		}
	}
	clear(o.hops)
	clear(o.groups)
	return errors.Join(errs...)
}

// resync learns from the kernel which objects are left and with which members. It forgets the others and returns the
// groups that are gone, whose routes the kernel removed with them, and whether anything differed.
func (o *objects) resync() (gone []*group, changed bool, err error) {
	have, err := o.list()
	if err != nil {
		return nil, false, err
	}
	known := make(map[uint32]netip.Addr)
	for a, id := range o.hops {
		if _, ok := have[id]; !ok {
			delete(o.hops, a)
			changed = true
			continue
		}
		known[id] = a
	}
	for id, g := range o.groups {
		members, ok := have[id]
		if !ok {
			delete(o.groups, id)
			gone = append(gone, g)
			continue
		}
		var hops []netip.Addr
		for _, member := range members {
			hops = append(hops, known[member])
		}
		slices.SortFunc(hops, netip.Addr.Compare)
		if key := setKey(hops); key != g.key {
			g.key, g.hops, changed = key, hops, true
		}
	}
	return gone, changed || len(gone) > 0, nil
}

// list asks the kernel for the objects of our protocol, and returns the members of each; nil for one that is not a group.
func (o *objects) list() (map[uint32][]uint32, error) {
	var have map[uint32][]uint32
	err := retryDump(func() error {
		have = make(map[uint32][]uint32)
		request := new(batch)
		request.begin(unix.RTM_GETNEXTHOP, 0, make([]byte, sizeofNhmsg)...)
		return o.conn.dump(request, func(m syscall.NetlinkMessage) error {
			id, members, ours, err := parseObject(m.Data)
			if err == nil && ours {
				have[id] = members
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing next-hop objects: %w", err)
	}
	return have, nil
}

// retryDump repeats a listing that changed while the kernel made it.
func retryDump(dump func() error) error {
	var err error
	for range dumpTries {
		if err = dump(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return err
}

const sizeofNhmsg = 8

// parseObject reads the body of RTM_NEWNEXTHOP.
func parseObject(body []byte) (id uint32, members []uint32, ours bool, err error) {
	if len(body) < sizeofNhmsg {
		return 0, nil, false, fmt.Errorf("next-hop message of %d bytes: %w", len(body), unix.EBADMSG)
	}
	attrs := attributes(body[sizeofNhmsg:])
	id, _ = attrs.uint32(unix.NHA_ID)
	const sizeofMember = 8 // struct nexthop_grp
	for member := range slices.Chunk(attrs[unix.NHA_GROUP], sizeofMember) {
		if len(member) == sizeofMember {
			members = append(members, binary.NativeEndian.Uint32(member))
		}
	}
	return id, members, body[2] == Protocol, nil
}
