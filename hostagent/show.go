package hostagent

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"lastmile/hostagent/bgp"
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
	Received    int    `json:"pfxRcd"`                   // prefixes that are accepted
	Announced   uint64 `json:"pfxAnnounced"`             // and those that the leaf announces, accepted or not
	MsgReceived uint64 `json:"msgRcvd"`
	MsgSent     uint64 `json:"msgSent"`
	LastReset   string `json:"lastResetDueTo,omitempty"` // why the latest Established session ended
	Reason      string `json:"reason,omitempty"`         // why there is no Established session
	Held        string `json:"held,omitempty"`           // what an Established leaf waits for before it shares traffic with others
	OtherRouter string `json:"otherRouter,omitempty"`    // another router that was heard on the uplink
}

func (a *Agent) neighbors(ctx context.Context) (Neighbors, error) {
	peers, err := a.bgp.Peers(ctx)
	if err != nil {
		return Neighbors{}, err
	}
	out := Neighbors{RouterID: a.cfg.RouterID.String(), AS: a.cfg.AS, Peers: map[string]Neighbor{}}
	accepted := map[netip.Addr]int{}
	for _, p := range a.rib.Peers() {
		accepted[p.Addr] = p.Prefixes
	}
	for name, u := range a.uplinks {
		n := Neighbor{State: u.status(), Held: u.waitsFor}
		if u.other.IsValid() {
			n.OtherRouter = u.other.String()
		}
		for _, p := range peers {
			if p.Peer == u.leaf {
				n.addSession(p, accepted[p.Peer])
			}
		}
		out.Peers[name] = n
	}
	return out, nil
}

func (n *Neighbor) addSession(p bgp.Peer, accepted int) {
	n.Address, n.State, n.RemoteAS, n.LastReset = p.Peer.String(), p.State.String(), p.AS, p.LastReset
	n.Received, n.Announced, n.MsgReceived, n.MsgSent = accepted, p.PrefixesReceived, p.MessagesReceived, p.MessagesSent
	if p.State == bgp.Established {
		n.UptimeMsec = time.Since(p.Since).Milliseconds()
	} else {
		n.Reason = p.Reason
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
		if p.Held != "" {
			state += ", " + p.Held
		}
		switch {
		case p.Reason != "":
			state += " (" + p.Reason + ")"
		case p.LastReset != "":
			state += " (last reset: " + p.LastReset + ")"
		}
		prefixes := strconv.Itoa(p.Received)
		if p.Announced > uint64(p.Received) {
			prefixes = fmt.Sprintf("%d of %d", p.Received, p.Announced)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, dash(p.Address), dash(number32(p.RemoteAS)), up, prefixes, state)
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
