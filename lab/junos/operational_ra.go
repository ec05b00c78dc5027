package junos

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/ndp"
)

func (s *session) routerAdvertisements(_ context.Context, request *element, w *writer) error {
	d := s.device
	only := request.value("interface")
	var names []string
	for _, name := range d.advertisements.interfaces() {
		if only == "" || name == only {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil // without the protocol the reply is empty
	}
	w.payload("ipv6-ra-information", "routing")
	for _, name := range names {
		kernel, known := d.names.kernel(name)
		if !known && d.cfg.World == nil {
			continue
		}
		var counters map[string]int
		if d.cfg.World == nil {
			// An interface that does not exist has counted nothing.
			_ = d.in(func() (err error) {
				counters, err = icmpCounters(kernel)
				return err
			})
		}
		s.advertisedInterface(w, name, counters)
		if err := w.spill(); err != nil {
			return err
		}
	}
	w.close()
	return nil
}

// Types of ICMPv6 messages, as the kernel names its counters.
const (
	solicitations = "Type133"
	advertised    = "Type134"
)

func (s *session) advertisedInterface(w *writer, name string, counters map[string]int) {
	w.open("ipv6-ra-interface")
	w.leaf("interface-name", name)
	w.number("ipv6-ra-advertisements-sent", counters["Icmp6Out"+advertised])
	w.number("ipv6-ra-solicits-received", counters["Icmp6In"+solicitations])
	w.number("ipv6-ra-solicits-sent", counters["Icmp6Out"+solicitations])
	w.number("ipv6-ra-advertisements-received", counters["Icmp6In"+advertised])
	heard := s.device.heard(name)
	slices.SortFunc(heard, func(a, b advertisement) int { return a.source.Compare(b.source) })
	for _, h := range heard {
		writeAdvertisement(w, h)
	}
	w.close()
}

// heard is the router advertisements of one interface.
func (d *Device) heard(logical string) []advertisement {
	if d.cfg.World != nil {
		return d.cfg.World.advertisements(logical)
	}
	return d.advertisements.heard(logical)
}

func writeAdvertisement(w *writer, h advertisement) {
	flag := map[bool]int{true: 1}
	m := h.message
	w.open("ipv6-ra-advertisement")
	w.leaf("ipv6-source-address", h.source.String())
	since := time.Since(h.heard)
	w.leaf("ipv6-ra-time-since", clock(since), "junos:seconds", fmt.Sprint(int(since.Seconds())))
	w.number("ipv6-ra-managed-flag", flag[m.ManagedConfiguration])
	w.number("ipv6-ra-other-config-flag", flag[m.OtherConfiguration])
	for _, option := range m.Options {
		if mtu, ok := option.(*ndp.MTU); ok {
			w.leaf("ipv6-ra-link-mtu", fmt.Sprint(mtu.MTU))
		}
	}
	w.leaf("ipv6-ra-reachable-time", fmt.Sprint(m.ReachableTime.Milliseconds()))
	w.number("ipv6-ra-default-lifetime", int(m.RouterLifetime.Seconds()))
	w.leaf("ipv6-ra-retransmit-timer", fmt.Sprint(m.RetransmitTimer.Milliseconds()))
	w.number("ipv6-ra-current-hop-limit", int(m.CurrentHopLimit))
	for _, option := range m.Options {
		if p, ok := option.(*ndp.PrefixInformation); ok {
			w.open("ipv6-ra-prefix")
			w.leaf("ipv6-ra-prefix-name", fmt.Sprintf("%s/%d", p.Prefix, p.PrefixLength))
			w.number("ipv6-ra-valid-lifetime", int(p.ValidLifetime.Seconds()))
			w.number("ipv6-ra-preferred-lifetime", int(p.PreferredLifetime.Seconds()))
			w.number("ipv6-ra-on-link", flag[p.OnLink])
			w.number("ipv6-ra-autonomous", flag[p.AutonomousAddressConfiguration])
			w.close()
		}
	}
	w.close()
}
