// Package inventory is who is plugged in to which port of a leaf, and what each may announce: a
// table that people write and the agent reads again whenever it changes.
//
// It parses and looks up. What becomes of who is in it, or is not, is the agent's business.
package inventory

import (
	"net/netip"
	"slices"
	"strings"
)

// Entry is one port of the leaf.
type Entry struct {
	Port   string // the logical interface, such as ge-0/0/1.0
	Server string
	// AS is the server's AS, and behind it those that may stand behind it in AS paths.
	AS       []uint32
	Prefixes []netip.Prefix // nobody else's
	Shared   []netip.Prefix // anycast: of every server that is listed for them
	MACs     []string       // aa:bb:cc:dd:ee:ff; none for any
	KeyFile  string         // the path of a file with the key of TCP MD5; "" for none
	Line     int            // in the file
}

// Announced is all that the server may announce.
func (e Entry) Announced() []netip.Prefix { return slices.Concat(e.Prefixes, e.Shared) }

// Expects says whether the MAC address is one of the server's.
func (e Entry) Expects(mac string) bool {
	return len(e.MACs) == 0 || slices.Contains(e.MACs, strings.ToLower(mac))
}

// Inventory is the ports of a leaf. A nil Inventory has none.
type Inventory struct {
	entries []Entry // in the order of the file
	ports   map[string]int
}

// Port is the entry of a logical interface.
func (i *Inventory) Port(ifl string) (Entry, bool) {
	if i == nil {
		return Entry{}, false
	}
	n, ok := i.ports[ifl]
	if !ok {
		return Entry{}, false
	}
	return i.entries[n], true
}

// Entries is all ports, in the order of the file. They are not to be changed.
func (i *Inventory) Entries() []Entry {
	if i == nil {
		return nil
	}
	return i.entries
}

// Missing is the ports of i that other has not.
func (i *Inventory) Missing(other *Inventory) (ports []string) {
	for _, e := range i.Entries() {
		if _, ok := other.Port(e.Port); !ok {
			ports = append(ports, e.Port)
		}
	}
	return ports
}
