package kernel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Why a link has no usable link-local address, see [Link.Problem].
var (
	// ErrIPv6Disabled is for a link whose net.ipv6.conf.LINK.disable_ipv6 is 1, or that cannot have IPv6 at all (MTU below
	// 1280, kernel without IPv6).
	ErrIPv6Disabled = errors.New("IPv6 is disabled on the link")

	// ErrDuplicateAddress is for a link whose link-local address somebody else on the link has (RFC 4862 section 5.4).
	ErrDuplicateAddress = errors.New("link-local address is in use by another node on the link")
)

// State is all that the agent needs to know of the kernel's links. Every news is the whole of it; it must not be changed.
type State struct {
	Links map[string]Link

	// Loopback holds the usable global addresses on the loopback device, as /32 and /128: IPv4 before IPv6, and of each
	// the one that is there longest first. Those past their preferred lifetime (`ip address add ... preferred_lft 0`), which
	// are to be no source of anything new (RFC 4862 section 5.5.4), come last.
	Loopback []netip.Prefix

	// Removals grows whenever an address was taken off the loopback device, also when it is back before anybody could
	// see: the kernel has removed the IPv4 routes that had it as their source.
	Removals uint64

	// Tampered grows whenever another program removed a route or next hop of ours, or changed such a next hop.
	Tampered uint64

	// Unreachable holds the link-local addresses, with their links as zones, that the kernel has asked for and had no
	// answer (NUD_FAILED); sorted.
	Unreachable []netip.Addr
}

// Link is a network device.
type Link struct {
	Name      string
	Index     int
	Up        bool // administratively up, and with a carrier
	MAC       net.HardwareAddr
	LinkLocal netip.Addr // IPv6, with the name as zone, the lowest of several; zero without a usable one
	Problem   error      // why LinkLocal is zero, where it will not come by itself: ErrIPv6Disabled, ErrDuplicateAddress

	// Losses grows whenever Up was lost, also when the link was up again before anybody could see. A link that was removed
	// or renamed, and then made anew under its name, goes on above the old number.
	Losses uint64
}

func (l Link) equal(other Link) bool {
	return l.Name == other.Name && l.Index == other.Index && l.Up == other.Up && bytes.Equal(l.MAC, other.MAC) &&
		l.LinkLocal == other.LinkLocal && l.Problem == other.Problem && l.Losses == other.Losses
}

func (s State) equal(other State) bool {
	return maps.EqualFunc(s.Links, other.Links, Link.equal) && slices.Equal(s.Loopback, other.Loopback) && s.Removals == other.Removals &&
		s.Tampered == other.Tampered && slices.Equal(s.Unreachable, other.Unreachable)
}

// view is what rtnetlink has told so far.
type view struct {
	links      map[int]*device
	addresses  map[addressKey]address
	generation int    // of the full reading; what it does not confirm has gone
	complete   bool   // one full reading has ended
	losses     uint64 // where a new link starts to count
	removals   uint64 // of addresses on the loopback device
	tampered   uint64
	failed     map[neighbour]bool // the kernel has given up to resolve
}

// device is a link as rtnetlink tells it.
type device struct {
	name         string
	up, loopback bool
	mac          net.HardwareAddr
	losses       uint64
	carrierDowns uint32 // the kernel's own count (IFLA_CARRIER_DOWN_COUNT): shows what no message told
	generation   int
}

type addressKey struct {
	index int
	addr  netip.Addr
	bits  uint8 // a link may have an address twice, in two subnets
}

type address struct {
	flags      uint32 // IFA_F_*
	created    uint32 // when, in hundredths of a second since the machine started
	scope      uint8  // RT_SCOPE_*
	generation int
}

func newView() *view {
	return &view{links: make(map[int]*device), addresses: make(map[addressKey]address), failed: make(map[neighbour]bool)}
}

// apply takes a message in; those about other things are ignored.
func (v *view) apply(m syscall.NetlinkMessage) error {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return v.applyLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return v.applyAddress(m)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return v.applyNeighbour(m)
	case unix.RTM_DELROUTE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP: // see tamperFilter
		v.tampered++
	}
	return nil
}

func (v *view) applyLink(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return fmt.Errorf("link message of %d bytes: %w", len(m.Data), unix.EBADMSG)
	}
	if m.Data[0] != unix.AF_UNSPEC {
		return nil // a bridge telling of its port, not of the link
	}
	index := int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
	if m.Header.Type == unix.RTM_DELLINK {
		v.removeLink(index)
		return nil
	}
	attrs := attributes(m.Data[unix.SizeofIfInfomsg:])
	d := v.links[index]
	if d == nil {
		d = &device{losses: v.losses}
		v.links[index] = d
	}
	if name := attrs.text(unix.IFLA_IFNAME); name != "" {
		v.rename(d, name)
	}
	d.generation = v.generation
	d.update(binary.NativeEndian.Uint32(m.Data[8:]), attrs)
	return nil
}

// rename gives the device its name. Whoever has that name otherwise went without our hearing of it.
func (v *view) rename(d *device, name string) {
	if d.name == name {
		return
	}
	for index, other := range v.links {
		if other.name == name {
			v.removeLink(index)
		}
	}
	if d.name != "" {
		v.losses = max(v.losses, d.losses+1)
	}
	d.name, d.losses = name, v.losses
}

// update takes in the flags (IFF_*) and the attributes that the message has; some lack all but the name.
func (d *device) update(flags uint32, attrs attrs) {
	// IFF_LOWER_UP falls with the carrier, IFF_RUNNING follows with the operational state.
	const ready = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	up := flags&ready == ready
	d.loopback = flags&unix.IFF_LOOPBACK != 0
	downs, ok := attrs.uint32(unix.IFLA_CARRIER_DOWN_COUNT)
	if !ok {
		downs = d.carrierDowns
	}
	if d.up && (!up || downs != d.carrierDowns) {
		d.losses++
	}
	d.up, d.carrierDowns = up, downs
	if mac, ok := attrs[unix.IFLA_ADDRESS]; ok {
		d.mac = slices.Clone(mac)
	}
}

func (v *view) removeLink(index int) {
	if d := v.links[index]; d != nil {
		v.losses = max(v.losses, d.losses+1)
	}
	delete(v.links, index)
	maps.DeleteFunc(v.failed, func(n neighbour, _ bool) bool { return n.index == index })
	maps.DeleteFunc(v.addresses, func(k addressKey, _ address) bool { return k.index == index })
}

func (v *view) applyAddress(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return fmt.Errorf("address message of %d bytes: %w", len(m.Data), unix.EBADMSG)
	}
	attrs := attributes(m.Data[unix.SizeofIfAddrmsg:])
	raw, ok := attrs[unix.IFA_LOCAL] // IFA_ADDRESS is the other end's on a point-to-point link
	if !ok {
		raw = attrs[unix.IFA_ADDRESS]
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return nil
	}
	key := addressKey{index: int(binary.NativeEndian.Uint32(m.Data[4:])), addr: addr, bits: m.Data[1]}
	if m.Header.Type == unix.RTM_DELADDR {
		v.removeAddress(key)
		return nil
	}
	flags, ok := attrs.uint32(unix.IFA_FLAGS)
	if !ok {
		flags = uint32(m.Data[2])
	}
	a := address{flags: flags, created: created(attrs), scope: m.Data[3], generation: v.generation}
	if was, ok := v.addresses[key]; ok && was.created != a.created {
		v.removeAddress(key) // and we have not heard of it
	}
	v.addresses[key] = a
	return nil
}

// created reads the time of creation from struct ifa_cacheinfo of linux/if_addr.h.
func created(attrs attrs) uint32 {
	const at, size = 8, 16
	if raw := attrs[unix.IFA_CACHEINFO]; len(raw) >= size {
		return binary.NativeEndian.Uint32(raw[at:])
	}
	return 0
}

func (v *view) removeAddress(key addressKey) {
	if _, ok := v.addresses[key]; !ok {
		return
	}
	delete(v.addresses, key)
	if d := v.links[key.index]; d != nil && d.loopback {
		v.removals++
	}
}

// sweep ends a full reading: what it did not mention has gone.
func (v *view) sweep() {
	v.complete = true
	for index, d := range v.links {
		if d.generation != v.generation {
			v.removeLink(index)
		}
	}
	for key, a := range v.addresses {
		if a.generation != v.generation {
			v.removeAddress(key)
		}
	}
}

// state is the view in the agent's words.
func (v *view) state() State {
	s := State{Links: make(map[string]Link, len(v.links)), Removals: v.removals, Tampered: v.tampered, Unreachable: v.unreachable()}
	for index, d := range v.links {
		s.Links[d.name] = Link{Name: d.name, Index: index, Up: d.up, MAC: d.mac, Losses: d.losses}
	}
	var loopback []addressKey
	for key, a := range v.addresses {
		d := v.links[key.index]
		switch {
		case d == nil:
		case d.loopback && a.scope == unix.RT_SCOPE_UNIVERSE && key.addr.IsGlobalUnicast() && usable(a.flags):
			loopback = append(loopback, key)
		case key.addr.Is6() && key.addr.IsLinkLocalUnicast():
			s.Links[d.name] = s.Links[d.name].withLinkLocal(key.addr, a.flags)
		}
	}
	for name, l := range s.Links {
		if l.Up && !l.LinkLocal.IsValid() && l.Problem == nil && ipv6Disabled(name) {
			l.Problem = ErrIPv6Disabled
			s.Links[name] = l
		}
	}
	slices.SortFunc(loopback, v.bySeniority)
	for _, key := range loopback {
		s.Loopback = append(s.Loopback, netip.PrefixFrom(key.addr, key.addr.BitLen()))
	}
	s.Loopback = slices.Compact(s.Loopback)
	return s
}

// bySeniority is the order of [State.Loopback].
func (v *view) bySeniority(i, j addressKey) int {
	a, b := v.addresses[i], v.addresses[j]
	return cmp.Or(
		cmp.Compare(i.addr.BitLen(), j.addr.BitLen()),
		cmp.Compare(a.flags&unix.IFA_F_DEPRECATED, b.flags&unix.IFA_F_DEPRECATED),
		cmp.Compare(a.created, b.created),
		i.addr.Compare(j.addr),
	)
}

// usable tells whether the kernel takes the address as a source: not while duplicate address detection runs, which takes
// an instant on the loopback device, too, unless the address is optimistic (RFC 4429).
func usable(flags uint32) bool {
	const mask = unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC
	return flags&unix.IFA_F_DADFAILED == 0 && flags&mask != unix.IFA_F_TENTATIVE
}

// withLinkLocal returns the link with the address, if that can be used.
func (l Link) withLinkLocal(addr netip.Addr, flags uint32) Link {
	if !usable(flags) {
		if flags&unix.IFA_F_DADFAILED != 0 && !l.LinkLocal.IsValid() {
			l.Problem = ErrDuplicateAddress
		}
		return l
	}
	addr = addr.WithZone(l.Name)
	if !l.LinkLocal.IsValid() || addr.Less(l.LinkLocal) {
		l.LinkLocal, l.Problem = addr, nil
	}
	return l
}
