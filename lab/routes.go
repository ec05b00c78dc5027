package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Route is one of a node's kernel, with its next hops spelled out.
type Route struct {
	Dst      netip.Prefix `json:"dst"`
	Protocol string       `json:"protocol"`
	Source   netip.Addr   `json:"source,omitzero"` // the preferred one
	Hops     []Hop        `json:"hops"`            // those that carry traffic, by device
}

// A Hop is one way that a route takes.
type Hop struct {
	Device string     `json:"device"`
	Via    netip.Addr `json:"via,omitzero"` // without zone; the zero value: on the link
}

// String writes the route as ip-route(8) does, on one line.
func (r Route) String() string {
	var b strings.Builder
	b.WriteString(r.Dst.String())
	for _, h := range r.Hops {
		b.WriteString(h.String())
	}
	if r.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Source)
	}
	return b.String()
}

func (h Hop) String() string {
	if !h.Via.IsValid() {
		return " dev " + h.Device
	}
	return fmt.Sprintf(" via %s dev %s", h.Via, h.Device)
}

// Devices returns the interfaces that the route uses, sorted.
func (r Route) Devices() []string {
	var devices []string
	for _, h := range r.Hops {
		devices = append(devices, h.Device)
	}
	return devices
}

// The JSON of `ip -j route` and `ip -j nexthop` (iproute2 6.1).
type (
	ipRoute struct {
		ipHop
		Dst      string
		Protocol string
		PrefSrc  netip.Addr
		NHID     uint32
		Nexthops []ipHop
	}
	ipHop struct {
		Dev     string
		Gateway netip.Addr
		Via     struct{ Host netip.Addr }
		Flags   []string
	}
	ipNexthop struct {
		ID uint32
		ipHop
		Group []struct{ ID uint32 }
	}
)

// Routes returns the routes of a node's main table, of one family (4 or 6),
// that routing daemons installed.
func (f *Fabric) Routes(ctx context.Context, node string, family int) ([]Route, error) {
	var raw []ipRoute
	if err := f.ip(ctx, node, &raw, fmt.Sprintf("-%d", family), "route", "show"); err != nil {
		return nil, err
	}
	var nexthops []ipNexthop
	if slices.ContainsFunc(raw, func(r ipRoute) bool { return r.NHID != 0 }) {
		// Without net.ipv4.nexthop_compat_mode a route names its next-hop
		// object only.
		if err := f.ip(ctx, node, &nexthops, "nexthop", "show"); err != nil {
			return nil, err
		}
	}
	var routes []Route
	for _, r := range raw {
		if r.Protocol == "kernel" || r.Protocol == "ra" || r.Protocol == "boot" {
			continue
		}
		route, err := r.resolve(family, nexthops)
		if err != nil {
			return nil, fmt.Errorf("%s: route to %s: %w", node, r.Dst, err)
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// RouteTo returns the kernel's route for exactly dst; ok is false if it has
// none.
func (f *Fabric) RouteTo(ctx context.Context, node string, dst netip.Prefix) (r Route, ok bool, err error) {
	family := 4
	if dst.Addr().Is6() {
		family = 6
	}
	routes, err := f.Routes(ctx, node, family)
	i := slices.IndexFunc(routes, func(r Route) bool { return r.Dst == dst })
	if err != nil || i < 0 {
		return Route{}, false, err
	}
	return routes[i], true, nil
}

func (f *Fabric) ip(ctx context.Context, node string, into any, args ...string) error {
	out, err := f.spaces[node].Run(ctx, "ip", append([]string{"-j"}, args...)...)
	if err != nil {
		return err
	}
	if len(out) == 0 {
		return nil
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("%s: reading ip %s: %w", node, strings.Join(args, " "), err)
	}
	return nil
}

func (r ipRoute) resolve(family int, nexthops []ipNexthop) (Route, error) {
	dst, err := parseDst(r.Dst, family)
	if err != nil {
		return Route{}, err
	}
	hops := r.Nexthops
	if len(hops) == 0 && r.Dev != "" {
		hops = []ipHop{r.ipHop}
	}
	if r.NHID != 0 {
		hops = expand(r.NHID, nexthops)
	}
	route := Route{Dst: dst, Protocol: r.Protocol, Source: r.PrefSrc}
	for _, h := range hops {
		if slices.Contains(h.Flags, "dead") || slices.Contains(h.Flags, "linkdown") {
			continue
		}
		via := h.Gateway
		if h.Via.Host.IsValid() {
			via = h.Via.Host
		}
		route.Hops = append(route.Hops, Hop{Device: h.Dev, Via: via})
	}
	slices.SortFunc(route.Hops, func(a, b Hop) int { return strings.Compare(a.Device, b.Device) })
	return route, nil
}

func parseDst(s string, family int) (netip.Prefix, error) {
	if s == "default" {
		if family == 6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), nil
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.Prefix(addr.BitLen())
}

// expand returns the hops of the next-hop object or group id. One that is not
// there was deleted between the two commands: the route is about to go too.
func expand(id uint32, all []ipNexthop) []ipHop {
	i := slices.IndexFunc(all, func(n ipNexthop) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	if len(all[i].Group) == 0 {
		return []ipHop{all[i].ipHop}
	}
	var hops []ipHop
	for _, member := range all[i].Group {
		hops = append(hops, expand(member.ID, all)...)
	}
	return hops
}
