package switchagent

import (
	"fmt"
	"regexp"

	"lastmile/switchagent/junos"
)

// oneNeighbor and ownPolicy are the only forms of command that a change may have: each is about a single
// neighbour, so nothing of a group, and with it of other neighbours, can change.
var (
	oneNeighbor = regexp.MustCompile(`^(?:set|delete) protocols bgp group (\S+) neighbor (?i:fe[89ab][0-9a-f]):\S*(?: \S.*)?$`)
	ownPolicy   = regexp.MustCompile(`^(?:set|delete) policy-options (?:policy-statement|as-path) (lastmile-[A-Za-z0-9-]+)(?: \S.*)?$`)
)

// prove looks at a change as the leaf will: command by command. It does not trust the planner,
// whose rules it knows nothing of. A command that ends or resets a session must be about a
// neighbour whose session is surely down; anything else is an error, and nothing is committed.
func (g guards) prove(change junos.Change) error {
	there := byPlace(change.From)
	for _, command := range change.Commands() {
		held, ours := there[command.Stanza.Place()]
		if !ours && g.others[command.Stanza.Place()] {
			return fmt.Errorf("not proved harmless: %q is about a neighbour of somebody else", command)
		}
		policy := ownPolicy.FindStringSubmatch(command.String())
		if policy != nil && policy[1] == command.Stanza.PolicyName() {
			continue // nobody else's, and no session ends with a policy
		}
		found := oneNeighbor.FindStringSubmatch(command.String())
		if found == nil || found[1] != command.Stanza.Group {
			return fmt.Errorf("not proved harmless: %q is not about one link-local neighbour", command)
		}
		if command.KeepsSession() {
			continue
		}
		s := command.Stanza
		if ours {
			s = held // whose session it is
			if len(g.sessions) == 0 {
				return fmt.Errorf("not proved harmless: %q, and the leaf lists no sessions", command)
			}
		}
		if g.mayBeUp(s.Peer) || g.mayBeUp(command.Stanza.Peer) {
			return fmt.Errorf("not proved harmless: %q, and the session with %s is not down", command, s.Peer)
		}
	}
	return nil
}
