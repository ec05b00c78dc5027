package hostagent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// adoptLoopback sends from what stands on lo, and announces it: with the source
// of IPv4 routes the kernel has removed the routes, so they come first.
func (a *Agent) adoptLoopback(ctx context.Context) {
	if source := a.sources(); source != a.source {
		err := a.fib.SetSource(source[0], source[1])
		if a.complain("setting the source address of routes", err); err == nil {
			a.source = source
		}
	}
	prefixes := a.cfg.announced(a.loopback)
	if slices.Equal(prefixes, a.announced) {
		return
	}
	err := a.bgp.Announce(ctx, prefixes)
	if a.complain("announcing", err); err == nil {
		a.log.Info("announcing", "prefixes", fmt.Sprint(prefixes))
		a.announced = prefixes
		a.apply(a.rib.Originate(prefixes))
	}
}

// sources returns the source addresses of routes, IPv4 and IPv6. The router ID
// is the one to send from as long as it stands on lo, whatever comes and goes
// beside it: anycast addresses are not for traffic that wants an answer.
func (a *Agent) sources() [2]netip.Addr {
	v4, v6 := first(a.loopback)
	if id := a.cfg.RouterID; id.IsValid() && slices.Contains(a.loopback, netip.PrefixFrom(id, id.BitLen())) {
		v4 = id
	}
	return [2]netip.Addr{v4, v6}
}

// first returns the first IPv4 and the first IPv6 address.
func first(addresses []netip.Prefix) (v4, v6 netip.Addr) {
	for _, p := range addresses {
		if a := p.Addr(); a.Is4() && !v4.IsValid() {
			v4 = a
		} else if a.Is6() && !v6.IsValid() {
			v6 = a
		}
	}
	return v4, v6
}
