package junos

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Stanza is a BGP neighbor statement for a link-local peer.
type Stanza struct {
	Group string
	// Peer is the address with its local-interface as zone. In a stanza that was read the zone
	// is missing if the statement has no local-interface.
	Peer        netip.Addr
	Description string
	// Key is the name of the statement in a stanza that was read: from 20.4R1 on it may hold
	// the interface too. In a new stanza it is empty.
	Key string
}

// maxDescription is the longest description of a neighbour that Junos takes.
const maxDescription = 255

// Validate checks what Junos does not: an ephemeral instance is committed without a check, and a
// wrong value there can end a daemon.
func (s Stanza) Validate() error {
	switch {
	case s.Group == "":
		return fmt.Errorf("stanza %s: it has no group", s.Peer)
	case !s.Peer.Is6() || !s.Peer.IsLinkLocalUnicast():
		return fmt.Errorf("stanza %s: a peer must be in fe80::/10", s.Peer)
	case s.Peer.Zone() == "":
		return fmt.Errorf("stanza %s: a link-local peer needs a local-interface", s.Peer)
	case len(s.Description) > maxDescription:
		return fmt.Errorf("stanza %s: its description has %d characters, Junos takes %d", s.Peer, len(s.Description), maxDescription)
	}
	return nil
}

// Stanzas reads the link-local BGP neighbours that are committed in the ephemeral instance.
// Neighbours of other kinds and those inside routing instances are not reported.
func (c *Client) Stanzas(ctx context.Context, instance string) ([]Stanza, error) {
	var stanzas []Stanza
	_, err := c.call(ctx, netconf.Call{
		Body: fmt.Sprintf(`<get-configuration database="ephemeral" ephemeral-instance="%s" format="xml"/>`, escape(instance)),
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config bgpConfiguration
			err := decode(&config)
			stanzas = append(stanzas, config.stanzas()...)
			return err
		}},
	})
	if err != nil {
		return nil, err
	}
	return stanzas, nil
}

type bgpConfiguration struct {
	Protocols struct {
		mark
		BGP struct {
			mark
			PeerAS leaf       `xml:"peer-as"`
			Groups []bgpGroup `xml:"group"`
		} `xml:"bgp"`
	} `xml:"protocols"`
}

type bgpGroup struct {
	mark
	Name      text `xml:"name"`
	Type      leaf `xml:"type"`
	PeerAS    leaf `xml:"peer-as"`
	Neighbors []struct {
		Name        text `xml:"name"`
		Interface   text `xml:"local-interface"`
		Description text `xml:"description"`
	} `xml:"neighbor"`
}

func (c bgpConfiguration) stanzas() (stanzas []Stanza) {
	for _, group := range c.Protocols.BGP.Groups {
		for _, n := range group.Neighbors {
			peer, ok := n.Name.addr()
			if !ok || !peer.Is6() || !peer.IsLinkLocalUnicast() {
				continue
			}
			if n.Interface != "" { // else the key may hold it, from 20.4R1 on
				peer = peer.WithZone(n.Interface.logical())
			}
			stanzas = append(stanzas, Stanza{Group: string(group.Name), Peer: peer, Description: string(n.Description), Key: string(n.Name)})
		}
	}
	return stanzas
}

// CheckInstance says whether the ephemeral instance is configured. On some releases opening an
// instance that is not there succeeds silently, and what follows would be loaded into the shared
// candidate and committed with whatever an operator has left there.
func (c *Client) CheckInstance(ctx context.Context, instance string) error {
	var found bool
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml"><configuration><system>` +
			`<configuration-database/></system></configuration></get-configuration>`,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config struct {
				Names []text `xml:"system>configuration-database>ephemeral>instance>name"`
			}
			err := decode(&config)
			found = found || slices.Contains(config.Names, text(instance))
			return err
		}},
	})
	if err == nil && !found {
		err = fmt.Errorf("ephemeral instance %q is not configured, or this user may not see it: set system configuration-database ephemeral instance %s",
			instance, instance)
	}
	return err
}

// Outcome is what became of a commit.
type Outcome int

// The outcomes.
const (
	Refused Outcome = iota // surely nothing was changed
	Applied                // the switch confirmed the commit
	Unknown                // the answer was lost or made no sense: read the stanzas again
)

// String is the outcome in one lower-case word.
func (o Outcome) String() string {
	return [...]string{"refused", "applied", "unknown"}[o]
}

// ErrLocked marks the refusal of a commit because somebody else has the database.
var ErrLocked = errors.New("configuration database is locked")

// Change is what one commit does. Stanzas of Remove are known by group and key.
type Change struct {
	Add, Remove []Stanza
}

// commitTimeout is long: commits of minutes are on record.
const commitTimeout = 5 * time.Minute

// Commit makes one change in the ephemeral instance: check that it is there, open, load, commit,
// close. The error is nil if and only if the outcome is Applied. The exclusive lock on the
// instance that the switch gives with the open is always given back: an instance that cannot be
// closed ends the session.
func (c *Client) Commit(ctx context.Context, instance string, change Change) (Outcome, error) {
	load, err := change.load()
	if err != nil {
		return Refused, err
	}
	if err := c.CheckInstance(ctx, instance); err != nil {
		return Refused, err
	}
	open := "<open-configuration><ephemeral-instance>" + escape(instance) + "</ephemeral-instance></open-configuration>"
	if _, err := c.call(ctx, netconf.Call{Body: open}); err != nil {
		return Refused, locked(err)
	}
	outcome, err := c.loadAndCommit(ctx, load)
	if errors.Is(err, ErrLost) {
		return outcome, err
	}
	// An error of the close changes nothing about the commit, but the instance would stay open and
	// locked, with what was loaded in it. It ends with the session; the next call says so.
	if _, closeErr := c.call(ctx, netconf.Call{Body: "<close-configuration/>"}); closeErr != nil {
		c.session.Close()
	}
	return outcome, err
}

func (c *Client) loadAndCommit(ctx context.Context, load string) (Outcome, error) {
	reply, err := c.call(ctx, netconf.Call{Body: load})
	if err != nil {
		return Refused, locked(err)
	}
	if !reply.OK && len(reply.Warnings) == 0 {
		return Refused, errors.New("load-configuration: the switch confirmed nothing")
	}
	reply, err = c.call(ctx, netconf.Call{Body: "<commit-configuration/>", Timeout: commitTimeout, Slow: true})
	switch {
	case errors.Is(err, ErrLost):
		return Unknown, err
	case err != nil:
		return Refused, locked(err)
	case !reply.OK:
		return Unknown, errors.New("commit-configuration: the switch confirmed nothing")
	}
	return Applied, nil
}

// locked marks the refusals that mean a held lock: the texts and the tag differ by release.
func locked(err error) error {
	var refused *netconf.ReplyError
	if !errors.As(err, &refused) {
		return err
	}
	for _, e := range refused.Errors {
		message := strings.ToLower(e.Message)
		if e.Tag == "lock-denied" || strings.Contains(message, "locked by") || strings.Contains(message, "lock-configuration failed") {
			return fmt.Errorf("%w: %w", ErrLocked, err)
		}
	}
	return err
}

// The XML of a load.
type loadConfiguration struct {
	XMLName xml.Name    `xml:"load-configuration"`
	Action  string      `xml:"action,attr"`
	Format  string      `xml:"format,attr"`
	Groups  []loadGroup `xml:"configuration>protocols>bgp>group"`
}

type loadGroup struct {
	Name      string         `xml:"name"`
	Neighbors []loadNeighbor `xml:"neighbor"`
}

type loadNeighbor struct {
	Delete      string `xml:"delete,attr,omitempty"`
	Name        string `xml:"name"`
	Description string `xml:"description,omitempty"`
	Interface   string `xml:"local-interface,omitempty"`
}

// load is the change as <load-configuration>: a merge with explicit deletes, which every release
// with ephemeral instances understands, of nothing but the stanzas that change.
func (change Change) load() (string, error) {
	load := loadConfiguration{Action: "merge", Format: "xml"}
	group := func(name string) *loadGroup {
		for i := range load.Groups {
			if load.Groups[i].Name == name {
				return &load.Groups[i]
			}
		}
		load.Groups = append(load.Groups, loadGroup{Name: name})
		return &load.Groups[len(load.Groups)-1]
	}
	for _, s := range change.Remove {
		g := group(s.Group)
		g.Neighbors = append(g.Neighbors, loadNeighbor{Delete: "delete", Name: cmp.Or(s.Key, s.Peer.WithZone("").String())})
	}
	for _, s := range change.Add {
		if err := s.Validate(); err != nil {
			return "", err
		}
		g := group(s.Group)
		g.Neighbors = append(g.Neighbors, loadNeighbor{
			Name: s.Peer.WithZone("").String(), Description: s.Description, Interface: s.Peer.Zone(),
		})
	}
	body, err := xml.Marshal(load)
	return string(body), err
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
