package hostagent

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/rib"
)

// Neighbors is the answer to `hostagent show neighbors`, by uplink. Keys that
// FRR's `show bgp summary json` has are named as there.
type Neighbors struct {
	RouterID string              `json:"routerId"`
	AS       uint32              `json:"as"`
	Peers    map[string]Neighbor `json:"peers"`
}

// A Neighbor is the leaf on one uplink.
type Neighbor struct {
	Address     string `json:"neighbor,omitempty"` // link-local, with its zone
	RemoteAS    uint32 `json:"remoteAs,omitempty"`
	RouterID    string `json:"remoteRouterId,omitempty"`
	State       string `json:"state"`                    // of the session, or what the uplink lacks to have one
	UptimeMsec  int64  `json:"peerUptimeMsec,omitempty"` // since Established
	Received    uint64 `json:"pfxRcd"`
	MsgReceived uint64 `json:"msgRcvd"`
	MsgSent     uint64 `json:"msgSent"`
	LastReset   string `json:"lastResetDueTo,omitempty"`
	OtherRouter string `json:"otherRouter,omitempty"` // another router that was heard on the uplink
}

func (a *Agent) neighbors(ctx context.Context) (Neighbors, error) {
	peers, err := a.bgp.Peers(ctx)
	if err != nil {
		return Neighbors{}, err
	}
	out := Neighbors{RouterID: a.cfg.RouterID.String(), AS: a.cfg.AS, Peers: map[string]Neighbor{}}
	for name, u := range a.uplinks {
		n := Neighbor{State: u.status()}
		if u.other.IsValid() {
			n.OtherRouter = u.other.String()
		}
		for _, p := range peers {
			if p.Peer == u.leaf {
				n.addSession(p)
			}
		}
		out.Peers[name] = n
	}
	return out, nil
}

func (n *Neighbor) addSession(p bgp.Peer) {
	n.Address, n.State, n.RemoteAS, n.LastReset = p.Peer.String(), p.State.String(), p.AS, p.Reason
	n.Received, n.MsgReceived, n.MsgSent = p.PrefixesReceived, p.MessagesReceived, p.MessagesSent
	if p.State == bgp.Established {
		n.UptimeMsec = time.Since(p.Since).Milliseconds()
	}
	if p.RouterID.IsValid() {
		n.RouterID = p.RouterID.String()
	}
}

// WriteText writes the table that people read.
func (n Neighbors) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "router ID %s, AS %d\n\n", n.RouterID, n.AS)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "UPLINK\tNEIGHBOR\tAS\tUP\tPREFIXES\tSTATE")
	for _, name := range slices.Sorted(maps.Keys(n.Peers)) {
		p := n.Peers[name]
		up := "-"
		if p.UptimeMsec > 0 {
			up = (time.Duration(p.UptimeMsec) * time.Millisecond).Round(time.Second).String()
		}
		state := p.State
		if p.LastReset != "" {
			state += " (last reset: " + p.LastReset + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", name, dash(p.Address), dash(number32(p.RemoteAS)), up, p.Received, state)
	}
	return t.Flush()
}

// Routes is the answer to `hostagent show routes`, by prefix. Keys that FRR's
// `show bgp ipv4 unicast json` has are named as there.
type Routes struct {
	Routes map[netip.Prefix][]Path `json:"routes"`
}

// A Path is one leaf's way to a prefix.
type Path struct {
	Uplink    string `json:"uplink"`
	NextHop   string `json:"nexthop"` // the leaf's link-local address, with its zone
	ASPath    string `json:"path"`
	Origin    string `json:"origin"`
	MED       uint32 `json:"metric"`
	LocalPref uint32 `json:"locPrf"`
	Best      bool   `json:"bestpath"`
	Multipath bool   `json:"multipath"`        // carries traffic together with others
	Why       string `json:"reason,omitempty"` // why it does not carry traffic
}

func (a *Agent) entries(context.Context) ([]rib.Entry, error) { return a.rib.Entries(), nil }

func describeAll(entries []rib.Entry) Routes {
	out := Routes{Routes: make(map[netip.Prefix][]Path, len(entries))}
	for _, e := range entries {
		for _, p := range e.Paths {
			out.Routes[e.Prefix] = append(out.Routes[e.Prefix], describe(p))
		}
	}
	return out
}

func describe(p rib.EntryPath) Path {
	ases := make([]string, len(p.Path.ASPath))
	for i, as := range p.Path.ASPath {
		ases[i] = strconv.FormatUint(uint64(as), 10)
	}
	return Path{
		Uplink: p.Peer.Zone(), NextHop: p.Peer.String(), ASPath: strings.Join(ases, " "),
		Origin: [...]string{"IGP", "EGP", "incomplete"}[min(p.Path.Origin, 2)], MED: p.Path.MED, LocalPref: p.Path.LocalPref,
		Best: p.Best, Multipath: p.Multipath, Why: string(p.Reason),
	}
}

// WriteText writes the table that people read: > is the best path, = one that
// carries traffic beside it.
func (r Routes) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, " \tPREFIX\tUPLINK\tNEXT HOP\tAS PATH\tNOT USED BECAUSE")
	for _, prefix := range slices.SortedFunc(maps.Keys(r.Routes), netip.Prefix.Compare) {
		for _, p := range r.Routes[prefix] {
			mark := " "
			switch {
			case p.Best:
				mark = ">"
			case p.Multipath:
				mark = "="
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", mark, prefix, p.Uplink, p.NextHop, p.ASPath, p.Why)
		}
	}
	return t.Flush()
}

func number32(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
