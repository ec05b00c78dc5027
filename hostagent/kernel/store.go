package kernel

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of linux/nexthop.h that golang.org/x/sys/unix lacks.
const (
	nhaResGroup           = 12 // NHA_RES_GROUP, Linux 5.13
	nhaResBuckets         = 1  // NHA_RES_GROUP_BUCKETS, in it
	nhaResIdleTimer       = 2  // NHA_RES_GROUP_IDLE_TIMER
	nhaResUnbalancedTimer = 3  // NHA_RES_GROUP_UNBALANCED_TIMER
	groupTypeResilient    = 1  // NEXTHOP_GRP_TYPE_RES
)

// dumpTries is how often a listing is asked for when it changes while the kernel makes it.
const dumpTries = 10

// Resilient makes groups resilient (Linux 5.13): a flow is hashed to a bucket, and a bucket keeps its next hop as long as
// that is in the group. So flows over the other leaves stay where they are when a leaf goes.
type Resilient struct {
	Buckets    uint16        // of a group, shared by its leaves; 0: groups are not resilient
	Idle       time.Duration // a bucket without a packet for so long may move to a leaf that has come (back)
	Unbalanced time.Duration // buckets that are not idle move too, after so long; 0: never
}

// kernelStore keeps next hops and groups as next-hop objects (Linux 5.3).
type kernelStore struct {
	conn      *conn
	resilient Resilient
}

func (s kernelStore) addHop(id uint32, h hop) error {
	b := new(batch)
	b.nextHop(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.AF_INET6, id)
	b.addr(unix.NHA_GATEWAY, h.addr)
	b.uint32(unix.NHA_OIF, uint32(h.link))
	return s.conn.do(b)
}

func (s kernelStore) setGroup(id uint32, members []hop, exists bool) error {
	flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL)
	if exists {
		flags = unix.NLM_F_REPLACE
	}
	var raw []byte
	for _, m := range members { // struct nexthop_grp of linux/nexthop.h, with equal weights
		raw = binary.NativeEndian.AppendUint32(raw, m.id)
		raw = append(raw, 0, 0, 0, 0)
	}
	b := new(batch)
	b.nextHop(unix.RTM_NEWNEXTHOP, flags, unix.AF_UNSPEC, id)
	b.attr(unix.NHA_GROUP, raw)
	if s.resilient.Buckets > 0 {
		b.resilient(s.resilient)
	}
	return s.conn.do(b)
}

func (s kernelStore) remove(id uint32) error {
	b := new(batch)
	b.nextHop(unix.RTM_DELNEXTHOP, 0, unix.AF_UNSPEC, id)
	if err := s.conn.do(b); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing next-hop object %d: %w", id, err)
	}
	return nil
}

// list asks the kernel for the objects of our protocol.
func (s kernelStore) list() (map[uint32]object, error) {
	var have map[uint32]object
	err := retryDump(func() error {
		have = make(map[uint32]object)
		request := new(batch)
		request.begin(unix.RTM_GETNEXTHOP, 0, make([]byte, sizeofNhmsg)...)
		return s.conn.dump(request, func(m syscall.NetlinkMessage) error {
			id, o, ours, err := parseObject(m.Data)
			if err == nil && ours {
				o.odd = o.members != nil && o.buckets != s.resilient.Buckets // which nobody can change
				have[id] = o
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing next-hop objects: %w", err)
	}
	return have, nil
}

// numbers lists the objects of our protocol, groups first: with a group the kernel removes the routes that use it, and a
// next hop that goes before its groups shrinks them.
func (s kernelStore) numbers() ([]uint32, error) {
	have, err := s.list()
	if err != nil {
		return nil, err
	}
	ids := slices.Collect(maps.Keys(have))
	slices.SortFunc(ids, func(a, b uint32) int { return cmp.Compare(len(have[b].members), len(have[a].members)) })
	return ids, nil
}

// clear removes all objects of our protocol.
func (s kernelStore) clear() error {
	ids, err := s.numbers()
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, s.remove(id))
	}
	return errors.Join(errs...)
}

// try makes a resilient group and removes it, to see if the kernel can. A black hole needs no link.
func (s kernelStore) try(create func(add func(id uint32) error) (uint32, error)) (err error) {
	hole, err := create(func(id uint32) error {
		b := new(batch)
		b.nextHop(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.AF_INET, id)
		b.attr(unix.NHA_BLACKHOLE, nil)
		return s.conn.do(b)
	})
	if err != nil {
		return fmt.Errorf("making a next hop to try resilient groups with: %w", err)
	}
	defer func() { err = errors.Join(err, s.remove(hole)) }()
	id, err := create(func(id uint32) error { return s.setGroup(id, []hop{{id: hole}}, false) })
	if err != nil {
		return fmt.Errorf("this kernel cannot make resilient next-hop groups of %d buckets, Linux 5.13 or later is needed: %w",
			s.resilient.Buckets, err)
	}
	return s.remove(id)
}

// books keep next hops and groups where the kernel does not. They behave as it does: what loses its link is gone.
type books struct {
	links *netlink.Handle
	have  map[uint32]object
}

func (s *books) addHop(id uint32, h hop) error {
	if !s.up(h.link) {
		return fmt.Errorf("%w: no carrier", unix.ENETDOWN)
	}
	s.have[id] = object{gateway: h.addr.WithZone(""), link: h.link}
	return nil
}

func (s *books) up(link int) bool {
	l, err := s.links.LinkByIndex(link)
	const ready = unix.IFF_UP | unix.IFF_LOWER_UP
	return err == nil && l.Attrs().RawFlags&ready == ready
}

func (s *books) setGroup(id uint32, members []hop, _ bool) error {
	ids := make([]uint32, len(members))
	for i, m := range members {
		ids[i] = m.id
	}
	s.have[id] = object{members: ids}
	return nil
}

func (s *books) remove(id uint32) error {
	delete(s.have, id)
	return nil
}

func (s *books) list() (map[uint32]object, error) {
	maps.DeleteFunc(s.have, func(_ uint32, o object) bool { return o.members == nil && !s.up(o.link) })
	for id, o := range s.have {
		if o.members == nil {
			continue
		}
		o.members = slices.DeleteFunc(slices.Clone(o.members), func(member uint32) bool { _, ok := s.have[member]; return !ok })
		if s.have[id] = o; len(o.members) == 0 {
			delete(s.have, id)
		}
	}
	return s.have, nil
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
func parseObject(body []byte) (id uint32, o object, ours bool, err error) {
	if len(body) < sizeofNhmsg {
		return 0, o, false, fmt.Errorf("next-hop message of %d bytes: %w", len(body), unix.EBADMSG)
	}
	attrs := attributes(body[sizeofNhmsg:])
	id, _ = attrs.uint32(unix.NHA_ID)
	link, _ := attrs.uint32(unix.NHA_OIF)
	o.link = int(link)
	o.gateway, _ = netip.AddrFromSlice(attrs[unix.NHA_GATEWAY])
	if raw, ok := attrs[unix.NHA_GROUP]; ok {
		const sizeofMember = 8 // struct nexthop_grp
		o.members = make([]uint32, 0, len(raw)/sizeofMember)
		for member := range slices.Chunk(raw, sizeofMember) {
			if len(member) == sizeofMember {
				o.members = append(o.members, binary.NativeEndian.Uint32(member))
			}
		}
	}
	if raw := attributes(attrs[nhaResGroup])[nhaResBuckets]; len(raw) == 2 {
		o.buckets = binary.NativeEndian.Uint16(raw)
	}
	return id, o, body[2] == Protocol, nil
}

// resilient appends what makes the group of the message a resilient one.
func (b *batch) resilient(r Resilient) {
	b.short(unix.NHA_GROUP_TYPE, groupTypeResilient)
	nested := new(batch)
	nested.offsets = []int{0}
	nested.bytes = make([]byte, 4) // where a message has its length
	nested.short(nhaResBuckets, r.Buckets)
	nested.uint32(nhaResIdleTimer, clockTicks(r.Idle))
	nested.uint32(nhaResUnbalancedTimer, clockTicks(r.Unbalanced))
	b.attr(nhaResGroup|unix.NLA_F_NESTED, nested.bytes[4:])
}

// clockTicks is the time in clock_t of the kernel's interfaces: USER_HZ is 100.
func clockTicks(d time.Duration) uint32 { return uint32(d / (10 * time.Millisecond)) }
