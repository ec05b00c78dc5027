package hostagent

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

// Route is the answer to `hostagent show routes PREFIX`. Keys that FRR's `show
// bgp ipv4 unicast PREFIX json` has are named as there.
type Route struct {
	Prefix     netip.Prefix `json:"prefix"`
	Originated bool         `json:"originated,omitempty"` // this server announces it, and uses no path to it
	Paths      []RoutePath  `json:"paths"`
	Kernel     KernelRoute  `json:"kernel"`
}

// A RoutePath is one leaf's way to the prefix.
type RoutePath struct {
	ASPath    ASPath       `json:"aspath"`
	Origin    string       `json:"origin"`
	MED       uint32       `json:"metric"`
	LocalPref uint32       `json:"locPrf"`
	Valid     bool         `json:"valid"` // always
	Multipath bool         `json:"multipath,omitempty"`
	Best      *BestPath    `json:"bestpath,omitempty"`
	Community *Communities `json:"community,omitempty"`
	Large     *Communities `json:"largeCommunity,omitempty"`
	NextHops  []NextHop    `json:"nexthops"`
	Peer      RoutePeer    `json:"peer"`
	Reason    string       `json:"reason,omitempty"` // the step of the decision that took it out
	Why       string       `json:"why"`              // the same for people; for the best path, why it is
}

// ASPath is the AS path as text and part by part.
type ASPath struct {
	String   string    `json:"string"`
	Segments []Segment `json:"segments"`
	Length   int       `json:"length"` // as the decision counts
}

// A Segment is a part of an AS path.
type Segment struct {
	Type string   `json:"type"` // as-sequence or as-set
	List []uint32 `json:"list"`
}

// BestPath says by what a path is the best.
type BestPath struct {
	Overall bool   `json:"overall"`
	Reason  string `json:"selectionReason"`
}

// Communities are a path's, as text.
type Communities struct {
	String string   `json:"string"`
	List   []string `json:"list"`
}

// RoutePeer is the leaf that a path comes from.
type RoutePeer struct {
	PeerID     string `json:"peerId"` // link-local, with its zone
	RouterID   string `json:"routerId,omitempty"`
	Interface  string `json:"interface"`
	Type       string `json:"type"`                     // always external
	UptimeMsec int64  `json:"peerUptimeMsec,omitempty"` // of the session
}

// KernelRoute is what the kernel has of the prefix, and keys are those of FRR's
// `show ip route json`.
type KernelRoute struct {
	Installed bool      `json:"installed"`
	Queued    bool      `json:"queued,omitempty"` // it is not there as it should be, and is tried again every second
	Error     string    `json:"error,omitempty"`  // of the kernel, when it was tried last
	Protocol  int       `json:"protocol,omitempty"`
	Metric    int       `json:"metric,omitempty"`
	Source    string    `json:"source,omitempty"`
	NextHops  []NextHop `json:"nexthops,omitempty"`
}

// questionOf reads a prefix, which is meant exactly, or an address, which asks
// for the longest prefix with it.
func questionOf(text string) (prefix netip.Prefix, addr netip.Addr, err error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.Prefix{}, addr, nil
	}
	prefix, err = netip.ParsePrefix(text)
	if err != nil {
		return prefix, addr, fmt.Errorf("%s is not allowed: a prefix such as 10.0.2.2/32 or c0d1::2/128, or an address, is wanted", quote(text))
	}
	if prefix != prefix.Masked() {
		return prefix, addr, fmt.Errorf("%s is not allowed: bits are set behind the prefix; %s?", quote(text), prefix.Masked())
	}
	return prefix, addr, nil
}

// found is what the loop knows of a prefix.
type found struct {
	entry     rib.Entry
	installed kernel.Route
	there     bool // it is installed
	pending   bool
	refused   error
	source    [2]netip.Addr
	sessions  map[netip.Addr]bgp.PeerState
}

func (a *Agent) serveRoute(w http.ResponseWriter, r *http.Request) {
	text := r.FormValue("of")
	prefix, addr, err := questionOf(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var f *found
	var rejected string
	err = a.inLoop(r.Context(), func(context.Context) { f, rejected = a.find(prefix, addr), a.rejected() })
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case f == nil:
		http.Error(w, fmt.Sprintf("no route to %s: no leaf announces one that is accepted%s", text, rejected), http.StatusNotFound)
	default:
		reply(w, f.describe())
	}
}

// find looks for the prefix or, if it is not valid, for what holds the address.
func (a *Agent) find(prefix netip.Prefix, addr netip.Addr) *found {
	var e rib.Entry
	var ok bool
	if prefix.IsValid() {
		e, ok = a.rib.Lookup(prefix)
	} else {
		e, ok = a.rib.Match(addr)
	}
	if !ok {
		return nil
	}
	f := &found{entry: e, refused: a.refused[e.Prefix], source: a.source, sessions: map[netip.Addr]bgp.PeerState{}}
	f.installed, f.there = a.auditor.Lookup(e.Prefix)
	_, f.pending = a.pending[e.Prefix]
	for _, u := range a.uplinks {
		if u.established() {
			f.sessions[u.leaf] = u.session
		}
	}
	return f
}

// rejected says how many announcements were rejected, which no table keeps.
func (a *Agent) rejected() string {
	var all []string
	for _, p := range a.rib.Peers() {
		if n := p.Rejected + p.Looped; n > 0 {
			all = append(all, fmt.Sprintf("%s: %d by import rules, %d as loops", p.Addr.Zone(), p.Rejected, p.Looped))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (rejected since the session came up, of all prefixes: " + strings.Join(all, "; ") + ")"
}

func (f *found) describe() Route {
	out := Route{Prefix: f.entry.Prefix, Originated: f.entry.Originated, Paths: []RoutePath{}, Kernel: f.kernelRoute()}
	for i := range f.entry.Paths {
		out.Paths = append(out.Paths, f.path(&f.entry.Paths[i]))
	}
	return out
}

func (f *found) path(p *rib.EntryPath) RoutePath {
	shown := RoutePath{
		ASPath: ASPath{String: p.Path.ASPathText(), Segments: []Segment{}, Length: p.Path.Length},
		Origin: p.Path.OriginText(), MED: p.Path.MED, LocalPref: p.Path.LocalPref,
		Valid: true, Multipath: p.Multipath, Reason: string(p.Reason), Why: f.why(p),
		Community: communities(p.Path.CommunityTexts()), Large: communities(p.Path.LargeCommunityTexts()),
		NextHops: []NextHop{nextHop(p.Peer, p.Reason == "")},
		Peer:     RoutePeer{PeerID: p.Peer.String(), Interface: p.Peer.Zone(), Type: "external"},
	}
	for _, s := range p.Path.Segments() {
		kind := "as-sequence"
		if s.Set {
			kind = "as-set"
		}
		shown.ASPath.Segments = append(shown.ASPath.Segments, Segment{kind, s.ASes})
	}
	if p.Best {
		shown.Best = &BestPath{Overall: true, Reason: string(f.entry.Selection)}
	}
	if s, ok := f.sessions[p.Peer]; ok {
		shown.Peer.UptimeMsec = time.Since(s.Since).Milliseconds()
		if s.RouterID.IsValid() {
			shown.Peer.RouterID = s.RouterID.String()
		}
	}
	return shown
}

func communities(texts []string) *Communities {
	if len(texts) == 0 {
		return nil
	}
	return &Communities{String: strings.Join(texts, " "), List: texts}
}

// why says in words why the path is the best, is used or is not.
func (f *found) why(p *rib.EntryPath) string {
	if p.Best {
		return whyBest(f.entry.Selection)
	}
	var best rib.EntryPath
	for _, q := range f.entry.Paths {
		if q.Best {
			best = q
		}
	}
	switch p.Reason {
	case rib.Originated:
		return "this server has the address itself"
	case rib.LocalPref:
		return fmt.Sprintf("local preference %d, the best has %d", p.Path.LocalPref, best.Path.LocalPref)
	case rib.ASPath:
		return fmt.Sprintf("AS path of length %d, the best has %d", p.Path.Length, best.Path.Length)
	case rib.Origin:
		return fmt.Sprintf("origin %s, the best has %s", p.Path.OriginText(), best.Path.OriginText())
	case rib.MED:
		return fmt.Sprintf("metric %d, a path that it compares with has a lower one", p.Path.MED)
	case rib.MaxPaths:
		return "as good as the best, but enough others are used"
	}
	return "as good as the best, used beside it"
}

func whyBest(selection rib.Reason) string {
	switch selection {
	case rib.OnlyPath:
		return "the only path"
	case rib.NeighborIP:
		return "as good as all that are used, and of the lowest address"
	case rib.LocalPref:
		return "highest local preference"
	case rib.ASPath:
		return "shortest AS path of those with the highest local preference"
	case rib.Origin:
		return "lowest origin of those with the shortest AS path"
	}
	return "lowest metric of those that are as good otherwise"
}

func (f *found) kernelRoute() KernelRoute {
	k := KernelRoute{Installed: f.there, Queued: f.refused != nil || f.pending && !f.asOrdered()}
	if f.refused != nil {
		k.Error = brief(f.refused)
	}
	if !f.there {
		return k
	}
	k.Protocol, k.Metric = kernel.Protocol, kernel.Metric
	source := f.source[0]
	if f.entry.Prefix.Addr().Is6() {
		source = f.source[1]
	}
	if source.IsValid() {
		k.Source = source.String()
	}
	for _, hop := range f.installed.NextHops {
		k.NextHops = append(k.NextHops, nextHop(hop, true))
	}
	return k
}

// asOrdered says if the kernel has the next hops that the table says.
func (f *found) asOrdered() bool {
	used := map[netip.Addr]bool{}
	for _, p := range f.entry.Paths {
		if p.Reason == "" {
			used[p.Peer] = true
		}
	}
	for _, hop := range f.installed.NextHops {
		if !used[hop] {
			return false
		}
	}
	return len(used) == len(f.installed.NextHops)
}
