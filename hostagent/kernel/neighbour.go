package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// neighbour is a link-local address on a link.
type neighbour struct {
	index int
	addr  netip.Addr
}

// maxFailed is of how many addresses that cannot be resolved it is kept after the kernel has removed the entry. Whoever is
// on a link can make the kernel look for addresses that nobody has.
const maxFailed = 256

// applyNeighbour follows which addresses the kernel cannot resolve (RFC 4861 section 7.3: unreachable). The kernel tidies up
// an entry that failed, within seconds where nothing is sent to it any more: that is no sign of life. Only an answer is, and
// the end of the link. What was so before we listened, or was lost in an overrun, is in the listing.
func (v *view) applyNeighbour(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofNdMsg {
		return fmt.Errorf("neighbour message of %d bytes: %w", len(m.Data), unix.EBADMSG)
	}
	addr, ok := netip.AddrFromSlice(attributes(m.Data[unix.SizeofNdMsg:])[unix.NDA_DST])
	if !ok || !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return nil
	}
	n := neighbour{index: int(int32(binary.NativeEndian.Uint32(m.Data[4:]))), addr: addr}
	state := binary.NativeEndian.Uint16(m.Data[8:])
	switch {
	case m.Header.Type == unix.RTM_DELNEIGH:
		if len(v.failed) > maxFailed {
			delete(v.failed, n)
		}
	case state == unix.NUD_FAILED:
		v.failed[n] = true
	case state&(unix.NUD_REACHABLE|unix.NUD_PERMANENT|unix.NUD_NOARP) != 0:
		delete(v.failed, n)
	}
	return nil
}

// unreachable returns the addresses that cannot be resolved, sorted, with their links as zones.
func (v *view) unreachable() (all []netip.Addr) {
	for n := range v.failed {
		if d := v.links[n.index]; d != nil && d.up {
			all = append(all, n.addr.WithZone(d.name))
		} else {
			delete(v.failed, n)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}
