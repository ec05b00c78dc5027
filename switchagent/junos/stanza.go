package junos

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Mark begins the description of every neighbour that is the agent's. In a database that others
// edit too, it is what tells its neighbours from theirs. It is a description and no apply-macro
// because ephemeral instances have no macros, and because monitoring shows descriptions.
const Mark = "lastmile:"

// Stanza is a BGP neighbor statement for a link-local peer.
type Stanza struct {
	Group string
	// Peer is the address with its local-interface as zone. In a stanza that was read the zone
	// is missing if the statement has no local-interface.
	Peer        netip.Addr
	Description string
	// Key is the name of the statement in a stanza that was read: from 20.4R1 on it may hold
	// the interface too. In a new stanza it is empty, which stands for the bare address.
	Key string
}

// Place is where a stanza stands. A database has one stanza in each.
type Place struct{ Group, Key string }

// Place is the same for all spellings of the key.
func (s Stanza) Place() Place {
	if addr, ok := text(s.Key).addr(); ok {
		return Place{s.Group, addr.String()}
	}
	return Place{s.Group, cmp.Or(s.Key, s.Peer.WithZone("").String())}
}

// name is the key that the statement has on the switch.
func (s Stanza) name() string { return cmp.Or(s.Key, s.Peer.WithZone("").String()) }

// Marked says whether the stanza carries the agent's mark.
func (s Stanza) Marked() bool { return strings.HasPrefix(s.Description, Mark) }

// Same says whether two stanzas are the same statements in the same place.
func (s Stanza) Same(other Stanza) bool {
	return s.Place() == other.Place() && slices.Equal(s.statements(), other.statements())
}

// maxDescription is the longest description of a neighbour that Junos takes.
const maxDescription = 255

var (
	groupName     = regexp.MustCompile(`^[^\x00-\x20\x7f-\x{10FFFF}<>&"'{};\[\]()]{1,64}$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/:_-]{0,58}\.[0-9]{1,10}$`)
)

// Validate checks what Junos does not: an ephemeral instance is committed without a check, and a
// wrong value there can end a daemon.
func (s Stanza) Validate() error {
	switch {
	case s.Group == "":
		return fmt.Errorf("stanza %s: it has no group", s.Peer)
	case !groupName.MatchString(s.Group):
		return fmt.Errorf("stanza %s: group %q has characters that no name of a group has", s.Peer, s.Group)
	case !s.Peer.Is6() || !s.Peer.IsLinkLocalUnicast():
		return fmt.Errorf("stanza %s: a peer must be in fe80::/10", s.Peer)
	case s.Peer.Zone() == "":
		return fmt.Errorf("stanza %s: a link-local peer needs a local-interface", s.Peer)
	case !interfaceName.MatchString(s.Peer.Zone()):
		return fmt.Errorf("stanza %s: %q is no logical interface such as ge-0/0/1.0", s.Peer, s.Peer.Zone())
	case len(s.Description) > maxDescription:
		return fmt.Errorf("stanza %s: its description has %d characters, Junos takes %d", s.Peer, len(s.Description), maxDescription)
	case strings.TrimSpace(s.Description) != s.Description: // it would never read back as it was
		return fmt.Errorf("stanza %s: its description begins or ends with a blank", s.Peer)
	case strings.ContainsFunc(s.Description, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("stanza %s: its description has other than printable ASCII characters", s.Peer)
	}
	if addr, ok := text(s.Key).addr(); s.Key != "" && (!ok || addr.WithZone("") != s.Peer.WithZone("")) {
		return fmt.Errorf("stanza %s: its key %q is another address", s.Peer, s.Key)
	}
	return nil
}

// statement is one statement below a neighbor: the words that lead to it, and its value. All that is
// sent, shown and compared of a stanza comes from its statements.
type statement struct{ path, value string }

func (s Stanza) statements() []statement {
	all := []statement{
		{"description", s.Description},
		{"local-interface", s.Peer.Zone()},
	}
	return slices.DeleteFunc(all, func(st statement) bool { return st.value == "" })
}

// keepsSession says whether a session lives through a change of the statement. Junos opens a new
// session for most; a description is nobody's business but the reader's.
func (st statement) keepsSession() bool { return st.path == "description" }
