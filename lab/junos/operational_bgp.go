package junos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// frrNeighbor is what `show bgp neighbors json` says of one neighbour. Field
// names are FRR's, misspellings included.
type frrNeighbor struct {
	RemoteAs               uint32 `json:"remoteAs"`
	LocalAs                uint32 `json:"localAs"`
	RemoteRouterID         string `json:"remoteRouterId"`
	LocalRouterID          string `json:"localRouterId"`
	State                  string `json:"bgpState"`
	UpMsec                 int64  `json:"bgpTimerUpMsec"`
	LastResetMsec          int64  `json:"lastResetTimerMsecs"`
	LastResetDueTo         string `json:"lastResetDueTo"`
	HoldTimeMsec           int    `json:"bgpTimerHoldTimeMsecs"`
	ConnectionsEstablished int    `json:"connectionsEstablished"`
	ConnectionsDropped     int    `json:"connectionsDropped"`
	HostLocal              string `json:"hostLocal"`
	PortLocal              int    `json:"portLocal"`
	HostForeign            string `json:"hostForeign"`
	PortForeign            int    `json:"portForeign"`
	Messages               struct {
		Received int `json:"totalRecv"`
		Sent     int `json:"totalSent"`
		Queued   int `json:"depthOutq"`
	} `json:"messageStats"`
	Capabilities struct {
		ExtendedNexthopByPeer map[string]string `json:"extendedNexthopFamililesByPeer"`
	} `json:"neighborCapabilities"`
	Families map[string]struct {
		Accepted int `json:"acceptedPrefixCounter"`
		Sent     int `json:"sentPrefixCounter"`
		Rejected int `json:"-"` // by import policies, as far as countReceived has looked
	} `json:"addressFamilyInfo"`
	BFD *struct {
		Status string `json:"status"`
	} `json:"peerBfdInfo"`
}

// ribs are Junos' tables and FRR's names of their families.
var ribs = []struct{ junos, frr string }{{"inet.0", "ipv4Unicast"}, {"inet6.0", "ipv6Unicast"}}

// flaps is how often an established session ended.
func (n *frrNeighbor) flaps() int { return n.ConnectionsDropped }

func (n *frrNeighbor) established() bool { return n.State == "Established" }

// elapsed is how long the session is in its state, as far as FRR says.
func (n *frrNeighbor) elapsed() time.Duration {
	if n.established() {
		return time.Duration(n.UpMsec) * time.Millisecond
	}
	return time.Duration(n.LastResetMsec) * time.Millisecond
}

// A configuredPeer is a neighbor statement and what FRR says about it.
type configuredPeer struct {
	*peer
	frr *frrNeighbor
}

// bgpPeers joins the configuration with FRR's table, in configured order.
func (s *session) bgpPeers(ctx context.Context) ([]configuredPeer, *node, error) {
	tree := s.device.db.merged()
	peers, _ := peersOf(tree.at("protocols", "bgp"))
	if len(peers) == 0 {
		return nil, tree, nil
	}
	if world := s.device.cfg.World; world != nil {
		joined := make([]configuredPeer, len(peers))
		for i, p := range peers {
			joined[i] = configuredPeer{p, world.bgpNeighbor(p)}
		}
		return joined, tree, nil
	}
	out, err := s.device.cfg.Router.Show(ctx, "show bgp neighbors json")
	if err != nil {
		return nil, nil, fmt.Errorf("asking the router: %w", err)
	}
	var table map[string]json.RawMessage
	if err := json.Unmarshal(out, &table); err != nil {
		return nil, nil, fmt.Errorf("reading the router's neighbours: %w", err)
	}
	joined := make([]configuredPeer, len(peers))
	for i, p := range peers {
		n := &frrNeighbor{State: "Idle"} // until the router knows it
		if raw, found := table[p.address.String()]; found {
			if err := json.Unmarshal(raw, n); err != nil {
				return nil, nil, fmt.Errorf("reading neighbour %s: %w", p.address, err)
			}
		}
		joined[i] = configuredPeer{p, n}
		if err := s.countReceived(ctx, joined[i]); err != nil {
			return nil, nil, err
		}
	}
	return joined, tree, nil
}

// countReceived looks how many prefixes a peer with import policies has sent: FRR's list of neighbours
// knows those that they have accepted.
func (s *session) countReceived(ctx context.Context, p configuredPeer) error {
	if len(p.policies("import")) == 0 || !p.frr.established() {
		return nil
	}
	for name, family := range p.frr.Families {
		afi := map[string]string{"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}[name]
		if afi == "" {
			continue
		}
		out, err := s.device.cfg.Router.Show(ctx, "show bgp "+afi+" unicast neighbors "+p.address.String()+" prefix-counts json")
		if err != nil {
			return fmt.Errorf("asking the router: %w", err)
		}
		var counts struct {
			Walked map[string]int `json:"ribTableWalkCounters"`
		}
		if err := json.Unmarshal(out, &counts); err != nil {
			continue // the session has ended meanwhile
		}
		family.Rejected = max(counts.Walked["Adj-in"]-family.Accepted, 0)
		p.frr.Families[name] = family
		if err := s.enforceLimit(ctx, p, afi, family.Accepted+family.Rejected); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) bgpSummary(ctx context.Context, _ *element, w *writer) error {
	peers, tree, err := s.bgpPeers(ctx)
	if err != nil {
		return err
	}
	if !tree.has("protocols", "bgp") {
		w.leaf("output", "BGP is not running")
		return nil
	}
	down := 0
	for _, p := range peers {
		if !p.frr.established() {
			down++
		}
	}
	w.payload("bgp-information", "routing")
	w.number("group-count", len(tree.at("protocols", "bgp").list("group")))
	w.number("peer-count", len(peers))
	w.number("down-peer-count", down)
	for _, p := range peers {
		s.summaryPeer(w, p)
		if err := w.spill(); err != nil {
			return err
		}
	}
	w.close()
	return nil
}

func (s *session) summaryPeer(w *writer, p configuredPeer) {
	n := p.frr
	w.open("bgp-peer", "junos:style", "terse",
		"heading", "Peer                     AS      InPkt     OutPkt    OutQ   Flaps Last Up/Dwn State|#Active/Received/Accepted/Damped...")
	w.leaf("peer-address", p.shown(w))
	w.leaf("peer-as", p.remoteAS())
	w.number("input-messages", n.Messages.Received)
	w.number("output-messages", n.Messages.Sent)
	w.number("route-queue-count", n.Messages.Queued)
	w.number("flap-count", n.flaps())
	w.leaf("elapsed-time", timeSince(n.elapsed()), "junos:seconds", fmt.Sprint(int(n.elapsed().Seconds())))
	w.leaf("peer-state", n.State, "junos:format", shortState(n.State))
	if text := p.leaf("description"); text != "" {
		w.leaf("description", text)
	}
	p.writeRibs(w, "terse")
	w.close()
}

// shown is the peer's address, on some releases with its interface.
func (p configuredPeer) shown(w *writer) string {
	if local := p.localInterface(); w.table.Scoped && p.address.IsLinkLocalUnicast() && local != "" {
		return p.address.String() + "%" + local
	}
	return p.address.String()
}

// shortState is how the state's column prints it.
func shortState(state string) string {
	if state == "Established" {
		return "Establ"
	}
	return state
}

func (p configuredPeer) remoteAS() string {
	if as := p.leaf("peer-as"); as != "" {
		return as
	}
	return fmt.Sprint(p.frr.RemoteAs)
}

// writeRibs writes the tables that an established session fills. FRR does not
// count a neighbour's active routes; all that it accepted are given.
func (p configuredPeer) writeRibs(w *writer, style string) {
	for _, rib := range ribs {
		family, found := p.frr.Families[rib.frr]
		if !found || !p.frr.established() {
			continue
		}
		w.open("bgp-rib", "junos:style", style)
		w.leaf("name", rib.junos)
		w.number("active-prefix-count", family.Accepted)
		w.number("received-prefix-count", family.Accepted+family.Rejected)
		w.number("accepted-prefix-count", family.Accepted)
		w.number("suppressed-prefix-count", 0)
		if style == "detail" {
			w.number("advertised-prefix-count", family.Sent)
		}
		w.close()
	}
}

func (s *session) bgpNeighbors(ctx context.Context, request *element, w *writer) error {
	peers, tree, err := s.bgpPeers(ctx)
	if err != nil {
		return err
	}
	if !tree.has("protocols", "bgp") {
		w.leaf("output", "BGP is not running")
		return nil
	}
	only := netip.Addr{}
	if text := request.value("neighbor-address"); text != "" {
		if only, err = neighborAddress(text); err != nil {
			return protocolError("invalid ip address: "+text, "neighbor-address")
		}
	}
	w.payload("bgp-information", "routing")
	for _, p := range peers {
		if !only.IsValid() || p.address == only {
			s.detailPeer(w, p)
		}
		if err := w.spill(); err != nil {
			return err
		}
	}
	w.close()
	return nil
}

func (s *session) detailPeer(w *writer, p configuredPeer) {
	n := p.frr
	optional := func(name, value string) {
		if value != "" {
			w.leaf(name, value)
		}
	}
	w.open("bgp-peer", "junos:style", "detail")
	w.leaf("peer-address", withPort(p.shown(w), n.PortForeign))
	w.leaf("peer-as", p.remoteAS())
	if n.HostLocal != "" {
		w.leaf("local-address", withPort(n.HostLocal, n.PortLocal))
	}
	if n.LocalAs != 0 {
		w.leaf("local-as", fmt.Sprint(n.LocalAs))
	}
	optional("description", p.leaf("description"))
	w.leaf("peer-group", p.group.key)
	w.leaf("peer-cfg-rti", "master")
	w.leaf("peer-fwd-rti", "master")
	w.leaf("peer-type", map[bool]string{true: "External", false: "Internal"}[p.external()])
	w.leaf("peer-state", n.State)
	w.leaf("peer-flags", "Sync")
	w.leaf("last-error", lastError(n))
	p.writeOptions(w, s.profile.Namespace)
	w.number("flap-count", n.flaps())
	if n.established() {
		w.leaf("peer-id", n.RemoteRouterID)
		w.leaf("local-id", n.LocalRouterID)
		w.number("active-holdtime", n.HoldTimeMsec/1000)
	}
	p.writeBFD(w)
	optional("local-interface-name", p.localInterface())
	if n.Capabilities.ExtendedNexthopByPeer["ipv4Unicast"] != "" {
		w.leaf("peer-ext-nh-nlri", "inet-unicast")
	}
	if p.find("family", "inet", "unicast", "extended-nexthop") != nil {
		w.leaf("local-ext-nh-nlri", "inet-unicast")
	}
	p.writeRibs(w, "detail")
	w.close()
}

func (p configuredPeer) writeOptions(w *writer, release string) {
	var families []string
	for _, f := range []string{"inet", "inet6"} {
		if p.carries(f) {
			families = append(families, f+"-unicast")
		}
	}
	w.open("bgp-option-information", "xmlns", junosNamespace+release+"/junos-routing")
	if exports := p.policies("export"); len(exports) > 0 {
		w.leaf("export-policy", "\n"+strings.Join(exports, " ")+"\n")
	}
	if imports := p.policies("import"); len(imports) > 0 {
		w.leaf("import-policy", "\n"+strings.Join(imports, " ")+"\n")
	}
	hold := p.leaf("hold-time")
	if hold == "" {
		hold = "90"
	}
	w.leaf("address-families", strings.Join(families, " "))
	w.leaf("holdtime", hold)
	if p.leaf("authentication-key") != "" {
		w.empty("authentication-configured")
	}
	w.close()
}

func (p configuredPeer) writeBFD(w *writer) {
	w.open("bgp-bfd")
	state := "disabled"
	if p.find("bfd-liveness-detection") != nil {
		state = "enabled"
	}
	w.leaf("bfd-configuration-state", state)
	up := "down"
	if p.frr.BFD != nil && strings.EqualFold(p.frr.BFD.Status, "up") {
		up = "up"
	}
	w.leaf("bfd-operational-state", up)
	w.close()
}

func lastError(n *frrNeighbor) string {
	if n.LastResetDueTo == "" {
		return "None"
	}
	return n.LastResetDueTo
}

// withPort adds the port of a TCP connection, which there may be none of.
func withPort(address string, port int) string {
	if port == 0 {
		return address
	}
	return fmt.Sprintf("%s+%d", address, port)
}
