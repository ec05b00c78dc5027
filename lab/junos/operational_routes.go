package junos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func secondsOf(s int) time.Duration { return time.Duration(s) * time.Second }

// frrRoute is one entry of `show ip route json`, frrPath one of a prefix in
// `show bgp ipv4 unicast json`.
type frrRoute struct {
	Prefix   string `json:"prefix"`
	Protocol string `json:"protocol"`
	Selected bool   `json:"selected"`
	Metric   int    `json:"metric"`
	Nexthops []struct {
		IP        string `json:"ip"`
		Interface string `json:"interfaceName"`
		Active    bool   `json:"active"`
	} `json:"nexthops"`
}

type frrPath struct {
	Path     string `json:"path"`
	Best     bool   `json:"bestpath"`
	LocPref  int    `json:"locPrf"`
	Nexthops []struct {
		Used bool   `json:"used"`
		IP   string `json:"ip"`
	} `json:"nexthops"`
}

// A routeTable is one of Junos' tables and the commands that fill it.
type routeTable struct{ name, routes, paths string }

var routeTables = []routeTable{
	{"inet.0", "show ip route json", "show bgp ipv4 unicast json"},
	{"inet6.0", "show ipv6 route json", "show bgp ipv6 unicast json"},
}

// protocolNames and preferences are Junos'.
var (
	protocolNames = map[string]string{"connected": "Direct", "static": "Static", "bgp": "BGP", "kernel": "Access-internal", "local": "Local"}
	preferences   = map[string]int{"Direct": 0, "Local": 0, "Static": 5, "Access-internal": 12, "BGP": 170}
)

func (s *session) routes(ctx context.Context, request *element, w *writer) error {
	if request.has("receive-protocol-name") {
		return s.received(ctx, request, w)
	}
	wanted := netip.Prefix{}
	if text := request.value("destination"); text != "" {
		var err error
		if wanted, err = parseDestination(text); err != nil {
			return protocolError("invalid prefix: "+text, "destination")
		}
	}
	w.payload("route-information", "routing")
	for _, table := range routeTables {
		if name := request.value("table"); name != "" && name != table.name {
			continue
		}
		routes, paths, err := s.readRoutes(ctx, table)
		if err != nil {
			return err
		}
		protocol := strings.ToLower(request.value("protocol"))
		for prefix, entries := range routes {
			p, err := netip.ParsePrefix(prefix)
			if err != nil || wanted.IsValid() && !covers(p, wanted, request.has("exact")) {
				delete(routes, prefix)
				continue
			}
			routes[prefix] = slices.DeleteFunc(entries, func(r frrRoute) bool {
				return protocol != "" && strings.ToLower(protocolNames[r.Protocol]) != protocol
			})
			if len(routes[prefix]) == 0 {
				delete(routes, prefix)
			}
		}
		s.writeTable(w, table.name, routes, paths)
	}
	w.close()
	return nil
}

// parseDestination reads a prefix, or an address as one.
func parseDestination(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(text)
}

// covers says whether the route p is what `show route DESTINATION` shows: the
// destination and what is more specific, or with exact, the destination alone.
func covers(p, destination netip.Prefix, exact bool) bool {
	if exact || p.Bits() < destination.Bits() {
		return p == destination.Masked()
	}
	return destination.Contains(p.Addr())
}

func (s *session) readRoutes(ctx context.Context, t routeTable) (map[string][]frrRoute, map[string][]frrPath, error) {
	out, err := s.device.cfg.Router.Show(ctx, t.routes)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the router: %w", err)
	}
	var routes map[string][]frrRoute
	if err := json.Unmarshal(out, &routes); err != nil {
		return nil, nil, fmt.Errorf("reading the router's routes: %w", err)
	}
	var bgp struct {
		Routes map[string][]frrPath `json:"routes"`
	}
	// Without BGP the answer is not JSON, and there are no paths.
	if out, err = s.device.cfg.Router.Show(ctx, t.paths); err == nil && json.Valid(out) {
		if err := json.Unmarshal(out, &bgp); err != nil {
			return nil, nil, fmt.Errorf("reading the router's BGP paths: %w", err)
		}
	}
	return routes, bgp.Routes, nil
}

func (s *session) writeTable(w *writer, name string, routes map[string][]frrRoute, paths map[string][]frrPath) {
	var prefixes []string
	total := 0
	for prefix, entries := range routes {
		prefixes = append(prefixes, prefix)
		total += len(entries)
	}
	slices.Sort(prefixes)
	w.open("route-table")
	w.leaf("table-name", name)
	w.number("destination-count", len(prefixes))
	w.number("total-route-count", total)
	w.number("active-route-count", len(prefixes))
	w.number("holddown-route-count", 0)
	w.number("hidden-route-count", 0)
	for _, prefix := range prefixes {
		w.open("rt", "junos:style", "brief")
		w.leaf("rt-destination", prefix)
		for _, r := range routes[prefix] {
			s.writeRoute(w, r, paths[prefix])
		}
		w.close()
	}
	w.close()
}

func (s *session) writeRoute(w *writer, r frrRoute, paths []frrPath) {
	protocol := protocolNames[r.Protocol]
	w.open("rt-entry")
	if r.Selected {
		w.leaf("active-tag", "*")
		w.empty("current-active")
		w.empty("last-active")
	}
	w.leaf("protocol-name", protocol)
	w.number("preference", preferences[protocol])
	if protocol == "BGP" {
		if i := slices.IndexFunc(paths, func(p frrPath) bool { return p.Best }); i >= 0 {
			w.number("local-preference", max(paths[i].LocPref, 100))
			w.leaf("as-path", strings.TrimSpace(paths[i].Path+" I"))
		}
	}
	for _, hop := range r.Nexthops {
		if !hop.Active {
			continue
		}
		logical, known := s.device.names.logical(hop.Interface)
		if !known {
			logical = hop.Interface
		}
		w.open("nh")
		if hop.IP != "" {
			w.leaf("to", hop.IP)
		}
		w.leaf("via", logical)
		w.close()
	}
	w.close()
}
