package hostagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/nd"
)

// An uplink is one link to one leaf.
type uplink struct {
	link     kernel.Link
	missing  bool               // named in the configuration, and not there
	stop     context.CancelFunc // ends router discovery; nil while the link is down
	leaf     netip.Addr         // the leaf that we peer with; zero until one is heard
	other    netip.Addr         // another router on the link, heard or tried last; zero for none
	heard    time.Time          // when other was
	session  bgp.PeerState      // the session with leaf
	updated  time.Time          // when the session last brought an update; zero before
	endOfRIB bool               // the session has brought all the leaf's routes
	wholeAt  time.Time          // when it had; says nothing unless endOfRIB
	since    time.Time          // when leaf was adopted, or lost its session

	bfd         liveness
	fault       string // the detector that has taken the leaf out of the routes; empty since it came back
	unreachable bool   // the kernel cannot resolve the leaf's address
	returning   bool   // its session has come up beside another leaf's
	waitsFor    string // what the leaf is held back for; empty if it is not
	waitsSince  time.Time

	looped, rejected tally     // of the session's announcements
	keptUntil        time.Time // when the routes of the leaf go, which restarts; zero if it does not
}

func (u *uplink) established() bool { return u.session.State == bgp.Established }

// sameAs says whether what is known of the link still holds. A loss that has
// come and gone counts: the kernel has flushed the link's routes with it.
func (u *uplink) sameAs(l kernel.Link) bool {
	return l.Index == u.link.Index && l.Up == u.link.Up && l.LinkLocal == u.link.LinkLocal && l.Losses == u.link.Losses
}

// status says in a word how the uplink is.
func (u *uplink) status() string {
	switch {
	case u.missing:
		return "interface does not exist"
	case !u.link.Up:
		return "down or no carrier"
	case errors.Is(u.link.Problem, kernel.ErrIPv6Disabled):
		return fmt.Sprintf("%v (net.ipv6.conf.%s.disable_ipv6)", u.link.Problem, u.link.Name)
	case u.link.Problem != nil:
		return u.link.Problem.Error()
	case !u.link.LinkLocal.IsValid():
		return "no link-local address"
	case !u.leaf.IsValid():
		return "no leaf heard"
	case u.established() && u.waitsFor != "" && u.waitsFor != forRoutes:
		return fmt.Sprintf("%s (%s)", u.session.State, u.waitsFor)
	case !u.established() && u.session.Reason != "":
		return fmt.Sprintf("%s (%s)", u.session.State, u.session.Reason)
	default:
		return u.session.State.String()
	}
}

// adoptLinks notes what is known of the links that are uplinks.
func (a *Agent) adoptLinks(links map[string]kernel.Link) {
	fresh := false
	for name, link := range links {
		if !a.cfg.isUplink(name) {
			continue
		}
		u, ok := a.uplinks[name]
		if !ok || u.missing {
			u = &uplink{}
			a.uplinks[name] = u
			a.metrics.begin(name)
		}
		if link.Index != u.link.Index {
			fresh = true // a link that is made anew has the settings of a new one
		}
		if link.Problem != nil && link.Problem != u.link.Problem {
			a.log.Error("uplink cannot be used", "link", name, "err", link.Problem)
		}
		u.link = link
	}
	for _, name := range a.cfg.named() {
		if _, ok := a.uplinks[name]; !ok {
			a.uplinks[name] = &uplink{link: kernel.Link{Name: name}, missing: true}
			a.metrics.begin(name)
			a.log.Error("uplink does not exist", "link", name)
		}
	}
	if fresh {
		a.prepare()
	}
}

// up begins discovery on a link that has come up.
func (a *Agent) up(ctx context.Context, u *uplink) {
	if u.stop != nil || !u.link.Up || !u.link.LinkLocal.IsValid() {
		return
	}
	a.log.Info("uplink is up", "link", u.link.Name, "address", u.link.LinkLocal)
	a.solicit(ctx, u)
}

// solicit begins discovery, anew if it is running: routers are solicited, and
// told of us, at once.
func (a *Agent) solicit(ctx context.Context, u *uplink) {
	if u.stop != nil {
		u.stop()
	}
	ctx, u.stop = context.WithCancel(ctx)
	name := u.link.Name
	a.group.Go(func() error { a.keepDiscovering(ctx, name); return nil })
}

// prepare sets the kernel parameters that the uplinks need.
func (a *Agent) prepare() {
	changed, err := a.sysctls.Set(a.present())
	for _, c := range changed {
		a.log.Info("kernel parameter set", "change", c)
	}
	a.complain("setting kernel parameters", err)
}

// present returns the names of the uplinks that exist.
func (a *Agent) present() []string {
	var names []string
	for name, u := range a.uplinks {
		if !u.missing {
			names = append(names, name)
		}
	}
	return names
}

// keepDiscovering runs router discovery on a link until ctx ends.
func (a *Agent) keepDiscovering(ctx context.Context, link string) {
	var last string
	for ctx.Err() == nil {
		err := a.discover(ctx, link, a.heard)
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != last {
			a.log.Error("router discovery ended, trying again", "link", link, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// down ends everything on a link that was lost. Forwarding comes first: the
// leaf leaves the routes before BGP hears of it.
func (a *Agent) down(ctx context.Context, u *uplink) {
	if u.stop == nil {
		return
	}
	at := time.Now()
	a.fib.LinkLost(u.link.Name)
	if u.fault == "" && u.inUse() {
		a.blame(u, byCarrier, at)
	}
	if u.leaf.IsValid() {
		a.apply(a.rib.Drop(u.leaf))
		a.dropPeer(ctx, u)
	}
	u.stop()
	u.stop, u.other = nil, netip.Addr{}
	a.log.Warn("uplink is down", "link", u.link.Name)
}

// leafTrial is how long a leaf that was heard may take to bring its session
// up before another one on the same link is tried instead.
const leafTrial = 10 * time.Second

// onHeard peers with the leaf that was heard. An uplink has one leaf: where
// several routers are heard, the one that we peer with stays as long as its
// session is Established, or until it has had leafTrial to get there.
func (a *Agent) onHeard(ctx context.Context, h nd.Heard) {
	u, ok := a.uplinks[h.Link]
	if !ok || u.stop == nil || h.Router == u.leaf {
		return
	}
	if !u.leaf.IsValid() {
		a.peerWith(ctx, u, h.Router)
		return
	}
	// One line is enough, however many routers somebody invents.
	if !u.other.IsValid() {
		a.log.Warn("another router on the uplink", "link", h.Link, "peer", u.leaf, "router", h.Router)
	}
	a.metrics.otherRouters.WithLabelValues(h.Link).Inc()
	u.other, u.heard = h.Router, h.At
	a.tryOther(ctx, u)
}

// tryOther gives the other router on the link its trial when the leaf has had
// its own.
func (a *Agent) tryOther(ctx context.Context, u *uplink) {
	if u.other.IsValid() && !u.established() && u.keptUntil.IsZero() && time.Since(u.since) >= leafTrial {
		a.peerWith(ctx, u, u.other)
	}
}

// peerWith makes leaf the uplink's BGP peer. One that was before is the other
// router from then on: it may be minutes until it advertises again.
func (a *Agent) peerWith(ctx context.Context, u *uplink, leaf netip.Addr) {
	u.other = u.leaf
	if u.leaf.IsValid() {
		a.apply(a.rib.Drop(u.leaf))
		a.dropPeer(ctx, u)
	}
	if err := a.bgp.AddPeer(ctx, leaf, a.cfg.session(u.link.Name)); err != nil {
		// The leaf's next advertisement tries again.
		a.log.Error("adding the peer", "link", u.link.Name, "peer", leaf, "err", err)
		return
	}
	a.log.Info("leaf heard", "link", u.link.Name, "peer", leaf)
	u.leaf, u.since = leaf, time.Now()
	a.watch(u)
}

func (a *Agent) dropPeer(ctx context.Context, u *uplink) {
	if u.established() {
		a.metrics.transitions.WithLabelValues(u.link.Name, "down").Inc()
	}
	if err := a.bgp.DeletePeer(ctx, u.leaf, bgp.PeerRemoved); err != nil {
		a.log.Error("removing the peer", "link", u.link.Name, "peer", u.leaf, "err", err)
	}
	a.unwatch(u)
	u.leaf, u.session, u.keptUntil = netip.Addr{}, bgp.PeerState{}, time.Time{}
	u.fault, u.unreachable, u.returning, u.waitsFor = "", false, false, ""
}

// byLeaf returns the uplink whose leaf has the zoned address, nil if none.
func (a *Agent) byLeaf(peer netip.Addr) *uplink {
	if u, ok := a.uplinks[peer.Zone()]; ok && u.leaf == peer {
		return u
	}
	return nil
}
