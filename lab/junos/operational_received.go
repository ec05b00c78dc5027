package junos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// received answers `show route receive-protocol bgp PEER`, with hidden what the peer's import policies have rejected.
func (s *session) received(ctx context.Context, request *element, w *writer) error {
	if protocol := request.value("receive-protocol-name"); protocol != "bgp" {
		return protocolError("invalid protocol: "+protocol, "receive-protocol-name")
	}
	text := request.value("peer")
	if _, err := neighborAddress(text); err != nil {
		return protocolError("invalid ip address: "+text, "peer")
	}
	peers, _, err := s.bgpPeers(ctx)
	if err != nil {
		return err
	}
	asked := slices.DeleteFunc(peers, func(p configuredPeer) bool { return !p.isCalled(text) })
	w.payload("route-information", "routing")
	for _, family := range ribs {
		if name := request.value("table"); name != "" && !strings.HasPrefix(family.junos, name) {
			continue
		}
		paths := map[string]receivedPath{}
		for _, p := range asked {
			if err := s.readReceived(ctx, p, family.frr, request.has("hidden"), paths); err != nil {
				return err
			}
		}
		if err := writeReceived(w, family.junos, request.has("hidden"), paths); err != nil {
			return err
		}
	}
	w.close()
	return nil
}

// receivedRequest is the operation that "show route receive-protocol PROTOCOL PEER" stands for.
func receivedRequest(protocol, peer string, more []string) string {
	hidden := ""
	if len(more) == 1 && more[0] == "hidden" {
		hidden = "<hidden/>"
	} else if len(more) > 0 {
		return ""
	}
	return "<get-route-information><receive-protocol-name>" + xmlText(protocol) + "</receive-protocol-name><peer>" + xmlText(peer) +
		"</peer>" + hidden + "</get-route-information>"
}

// isCalled says whether a name of a peer, with or without its interface, is this one's.
func (p configuredPeer) isCalled(name string) bool {
	address, local, scoped := strings.Cut(name, "%")
	a, err := netip.ParseAddr(address)
	return err == nil && a == p.address && (!scoped || local == p.localInterface())
}

// receivedPath is FRR's of a prefix.
type receivedPath struct {
	NextHop       string `json:"nextHop"`
	NextHopGlobal string `json:"nextHopGlobal"`
	Path          string `json:"path"`
}

// readReceived reads what a peer has sent: what is accepted of it, or what is not.
func (s *session) readReceived(ctx context.Context, p configuredPeer, family string, hidden bool, into map[string]receivedPath) error {
	if s.device.cfg.World != nil || !p.frr.established() {
		return nil
	}
	afi := map[string]string{"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}[family]
	show := func(what string, table any) error {
		out, err := s.device.cfg.Router.Show(ctx, "show bgp "+afi+" unicast neighbors "+p.address.String()+" "+what+" json")
		if err != nil {
			return fmt.Errorf("asking the router: %w", err)
		}
		if !json.Valid(out) { // it keeps nothing of this peer, or the session has ended
			return nil
		}
		return json.Unmarshal(out, table)
	}
	var accepted struct {
		Routes map[string]json.RawMessage `json:"routes"`
	}
	var sent struct {
		Routes map[string]receivedPath `json:"receivedRoutes"`
	}
	if err := show("routes", &accepted); err != nil {
		return err
	}
	if err := show("received-routes", &sent); err != nil {
		return err
	}
	maps.DeleteFunc(sent.Routes, func(prefix string, _ receivedPath) bool {
		_, used := accepted.Routes[prefix]
		return used == hidden
	})
	maps.Copy(into, sent.Routes)
	return nil
}

func writeReceived(w *writer, table string, hidden bool, paths map[string]receivedPath) error {
	w.open("route-table")
	w.leaf("table-name", table)
	if hidden {
		w.number("hidden-route-count", len(paths))
	} else {
		w.number("active-route-count", len(paths))
	}
	for _, prefix := range slices.Sorted(maps.Keys(paths)) {
		p := paths[prefix]
		w.open("rt", "junos:style", "brief")
		w.leaf("rt-destination", prefix)
		w.open("rt-entry")
		if !hidden {
			w.leaf("active-tag", "*")
		}
		w.leaf("protocol-name", "BGP")
		w.open("nh")
		w.leaf("to", cmp.Or(p.NextHopGlobal, p.NextHop))
		w.close()
		w.leaf("as-path", strings.TrimSpace(p.Path+" I"))
		w.close()
		w.close()
		if err := w.spill(); err != nil {
			return err
		}
	}
	w.close()
	return nil
}

// enforceLimit has FRR look again at what a peer has announced when that is more than its prefix-limit: for prefixes
// that a policy rejects FRR counts and does not look, and the session would stay up until one comes that is accepted.
func (s *session) enforceLimit(ctx context.Context, p configuredPeer, afi string, received int) error {
	family := map[string]string{"ipv4": "inet", "ipv6": "inet6"}[afi]
	limit := p.find("family", family, "unicast", "prefix-limit")
	most, err := strconv.Atoi(limit.leaf("maximum"))
	if err != nil || received <= most || !limit.has("teardown") {
		return nil
	}
	if _, err := s.device.cfg.Router.Show(ctx, "clear bgp "+afi+" unicast "+p.address.String()+" soft in"); err != nil {
		return fmt.Errorf("having the router count prefixes: %w", err)
	}
	return nil
}
