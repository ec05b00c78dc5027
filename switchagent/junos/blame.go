package junos

import (
	"errors"
	"strings"

	"lastmile/switchagent/netconf"
)

// Blame tells which of the stanzas a refusal names, by key, address, interface or policy. general says that the
// refusal is about something else: of the switch, of the user's rights, or of another part of the
// configuration. Where neither is so the switch did not say.
func Blame(err error, stanzas []Stanza) (blamed []Stanza, general bool) {
	for _, other := range []error{ErrLocked, ErrDirty, ErrChanged, ErrUnconfirmed, ErrLost} {
		if errors.Is(err, other) {
			return nil, true
		}
	}
	var bad *stanzaError // found by us
	if errors.As(err, &bad) {
		return []Stanza{bad.Stanza}, false
	}
	var refused *netconf.ReplyError
	if !errors.As(err, &refused) {
		return nil, true // it is not about the content at all
	}
	found := map[Stanza]bool{}
	for _, e := range refused.Errors {
		for _, s := range blamedBy(e, stanzas) {
			found[s] = true
		}
		general = general || isGeneral(e)
	}
	for _, s := range stanzas {
		if found[s] {
			blamed = append(blamed, s)
		}
	}
	return blamed, general && len(blamed) == 0
}

// blamedBy is the stanzas that one error names. A port, which may have several, counts only where nothing names one of them,
// and not in another part of the configuration: what is wrong there with the port is not of a stanza.
func blamedBy(e netconf.Error, stanzas []Stanza) []Stanza {
	named := map[string]bool{}
	for _, word := range strings.FieldsFunc(e.Path+" "+e.BadElement+" "+e.Message, notInAddress) {
		named[strings.ToLower(strings.Trim(word, ".:"))] = true
		named[strings.ToLower(word)] = true
	}
	delete(named, "") // which a full stop alone leaves
	var itself, port []Stanza
	for _, s := range stanzas {
		if named[strings.ToLower(s.name())] || named[s.Peer.WithZone("").String()] || named[s.Peer.String()] || named[strings.ToLower(s.PolicyName())] {
			itself = append(itself, s)
		} else if named[strings.ToLower(s.Peer.Zone())] {
			port = append(port, s)
		}
	}
	if len(itself) > 0 || isElsewhere(e) && e.Path != "[edit]" { // the top is no part
		return itself
	}
	return port
}

func notInAddress(r rune) bool {
	return !strings.ContainsRune("0123456789abcdefABCDEF:%/.-", r) && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func isGeneral(e netconf.Error) bool {
	message := strings.ToLower(e.Message)
	for _, phrase := range []string{"permission denied", "allocate memory", "database size", "not supported", "not configured"} {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return isElsewhere(e)
}

// isElsewhere says that an error is of a part of the configuration in which there are no neighbours.
func isElsewhere(e netconf.Error) bool {
	return strings.HasPrefix(e.Path, "[edit") && !strings.Contains(e.Path, "protocols bgp")
}
