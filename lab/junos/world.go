package junos

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
)

// A Neighbor is an entry of the IPv6 neighbour table in Junos' words.
type Neighbor struct {
	Address, MAC string
	State        string // "reachable", "stale", "delay", "probe", "unreachable"
	Interface    string // logical: "ge-0/0/1.0"
	Router       bool
	Expire       int      // seconds
	Flags        []string // since 23.4R1: "remotely-learnt-address", ...
}

// A World stands in for the kernel and FRR around a device: what is plugged in,
// and BGP sessions that come up as soon as somebody is plugged in where a
// neighbor statement says. It needs no namespace and no privileges, and takes
// tens of thousands of entries.
type World struct {
	mu        sync.Mutex
	ports     []string // logical interfaces that are up
	table     []Neighbor
	heard     map[string][]advertisement
	peers     map[peerKey]*worldPeer
	addressed map[string]string // interfaces with an address of their own
	disturbed []string
	silent    map[peerKey]bool
}

type peerKey struct{ address, logical string }

// A worldPeer is a neighbor statement in force.
type worldPeer struct {
	settings string // a change of these resets the session
	since    time.Time
	up       bool
	flaps    int
}

// NewWorld returns a world in which the device has these logical interfaces.
func NewWorld(ports ...string) *World {
	return &World{
		ports: ports, heard: map[string][]advertisement{}, addressed: map[string]string{},
		peers: map[peerKey]*worldPeer{}, silent: map[peerKey]bool{},
	}
}

// SyntheticNeighbors returns n servers, each on a port of its own of ports
// ("xe-0/0/0.0", ...); with fewer ports than n they share them.
func SyntheticNeighbors(n, ports int) []Neighbor {
	out := make([]Neighbor, n)
	for i := range out {
		out[i] = Neighbor{
			Address: fmt.Sprintf("fe80::5054:ff:fe%02x:%x", i>>16&0xff, i&0xffff),
			MAC:     fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16&0xff, i>>8&0xff, i&0xff),
			State:   "reachable", Interface: SyntheticPort(i % ports), Router: true, Expire: 20,
		}
	}
	return out
}

// SyntheticPort is the name of the i-th port of SyntheticNeighbors.
func SyntheticPort(i int) string { return fmt.Sprintf("xe-%d/%d/%d.0", i/3072, i/48%64, i%48) }

// SetNeighbors replaces the neighbour table.
func (w *World) SetNeighbors(table []Neighbor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.table = slices.Clone(table)
	w.settle()
}

// SetAddress gives a logical interface an address of its own, such as
// "192.0.2.1/31"; "" takes it away.
func (w *World) SetAddress(logical, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.addressed, logical); address != "" {
		w.addressed[logical] = address
	}
}

// Plug connects a server to a port: it is in the neighbour table, as a router,
// and is heard advertising. Its session comes up with its stanza.
func (w *World) Plug(logical, address, mac string) error {
	source, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("plugging in %s: %w", logical, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unplug(logical, address)
	w.table = append(w.table, Neighbor{Address: address, MAC: mac, State: "reachable", Interface: logical, Router: true, Expire: 30})
	w.heard[logical] = append(w.heard[logical], advertisement{source: source, heard: time.Now(), message: &ndp.RouterAdvertisement{}})
	w.settle()
	return nil
}

// Unplug takes a server away; its session goes down.
func (w *World) Unplug(logical, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unplug(logical, address)
	w.settle()
}

func (w *World) unplug(logical, address string) {
	w.table = slices.DeleteFunc(w.table, func(n Neighbor) bool { return n.Interface == logical && n.Address == address })
	w.heard[logical] = slices.DeleteFunc(w.heard[logical], func(a advertisement) bool { return a.source.String() == address })
}

// SetSilent has a server that is plugged in speak no BGP, or speak it again.
func (w *World) SetSilent(logical, address string, silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent[peerKey{address, logical}] = silent
	w.settle()
}

// Established says whether the session with a neighbor is up.
func (w *World) Established(logical, address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.peers[peerKey{address, logical}]
	return p != nil && p.up
}

// EstablishedCount is how many sessions are up.
func (w *World) EstablishedCount() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.peers {
		if p.up {
			n++
		}
	}
	return n
}

// Disturbed lists what commits did to sessions that were up: "deleted
// fe80::1%ge-0/0/1.0", "reset ...".
func (w *World) Disturbed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.disturbed)
}

// neighbors is the table in the device's order.
func (w *World) neighbors() []Neighbor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.table)
}

func (w *World) advertisements(logical string) []advertisement {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard[logical])
}

// configure puts the neighbor statements of a committed configuration in force.
// At a boot there are no sessions that it could disturb. It returns what Change
// has of that.
func (w *World) configure(tree *node, c Change) (disturbed, sudden []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.disturbed)
	if c.Database == "reboot" {
		clear(w.peers)
	}
	note := func(p *worldPeer, what string, key peerKey) {
		if !p.up {
			return
		}
		what += " " + key.address + "%" + key.logical
		w.disturbed = append(w.disturbed, what)
		if !c.looked.IsZero() && p.since.After(c.looked) {
			sudden = append(sudden, what)
		}
	}
	peers, _ := peersOf(tree.at("protocols", "bgp"))
	wanted := map[peerKey]string{}
	for _, p := range peers {
		wanted[p.key()] = p.sessionSettings()
	}
	for key, p := range w.peers {
		settings, stays := wanted[key]
		switch {
		case !stays:
			note(p, "deleted", key)
			delete(w.peers, key)
		case settings != p.settings:
			note(p, "reset", key)
			p.settings, p.since = settings, time.Now()
			if p.up {
				p.flaps++
			}
		}
	}
	for key, settings := range wanted {
		if w.peers[key] == nil {
			w.peers[key] = &worldPeer{settings: settings, since: time.Now()}
		}
	}
	w.settle()
	return slices.Clone(w.disturbed[before:]), sudden
}

// settle brings sessions up or down, as those who are there let them.
func (w *World) settle() {
	there := make(map[peerKey]bool, len(w.table))
	for i := range w.table {
		n := &w.table[i]
		there[peerKey{n.Address, n.Interface}] = n.MAC != "" && n.State != "unreachable"
	}
	for key, p := range w.peers {
		up := there[key] && !w.silent[key]
		if up == p.up {
			continue
		}
		if p.up {
			p.flaps++
		}
		p.up, p.since = up, time.Now()
	}
}

// key is where the peer is: addresses alone do not tell link-local ones apart.
func (p *peer) key() peerKey { return peerKey{p.address.String(), p.localInterface()} }

// sessionSettings is what of a neighbor and its groups cannot change without a
// new session. Descriptions and policies can.
func (p *peer) sessionSettings() string {
	var b strings.Builder
	for _, level := range p.levels {
		for _, c := range level.children {
			switch c.def.name {
			case "description", "import", "export", "group", "neighbor", "log-updown", "traceoptions", "defaults":
				continue
			}
			c.writeText(&b, level.def.name+" ", "")
		}
	}
	return p.group.key + "\n" + b.String()
}

// bgpNeighbor is what the device says about a peer.
func (w *World) bgpNeighbor(p *peer) *frrNeighbor {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &frrNeighbor{State: "Idle"}
	own := w.peers[p.key()]
	if own == nil {
		return n
	}
	age := time.Since(own.since).Milliseconds()
	n.State, n.LastResetMsec, n.ConnectionsDropped = "Active", age, own.flaps
	if own.up {
		n.State, n.UpMsec, n.HoldTimeMsec = "Established", age, 90000
		n.HostForeign, n.PortForeign, n.PortLocal = p.address.String(), 50172, 179
		n.RemoteRouterID, n.LocalRouterID = "192.0.2.1", "192.0.2.254"
	}
	return n
}

// sortNeighbors orders a table as the device shows it.
func sortNeighbors(table []Neighbor) {
	slices.SortFunc(table, func(a, b Neighbor) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Address, b.Address))
	})
}
