package junos

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// worldMTU is that of all interfaces of a World.
const worldMTU = 9216

// interfaces is the ports as the kernel would show them: up, with a link-local
// address, and with another if they were given one.
func (w *World) interfaces() []port {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]port, len(w.ports))
	for i, logical := range w.ports {
		mac := net.HardwareAddr{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
		local := net.IP{0xfe, 0x80, 15: 1, 8: mac[0], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4]}
		out[i] = port{logical, &netlink.LinkAttrs{
			Index: i + 1, MTU: worldMTU, Flags: net.FlagUp, OperState: netlink.OperUp, HardwareAddr: mac,
		}, []netlink.Addr{{IPNet: &net.IPNet{IP: local, Mask: net.CIDRMask(64, 128)}}}}
		if own, err := netip.ParsePrefix(w.addressed[logical]); err == nil {
			out[i].addresses = append(out[i].addresses, netlink.Addr{IPNet: &net.IPNet{
				IP: own.Addr().AsSlice(), Mask: net.CIDRMask(own.Bits(), own.Addr().BitLen()),
			}})
		}
	}
	slices.SortFunc(out, func(a, b port) int { return cmp.Compare(a.logical, b.logical) })
	return out
}
