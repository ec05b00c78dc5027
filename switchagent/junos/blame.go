package junos

import (
	"errors"
	"strings"

	"lastmile/switchagent/netconf"
)

// Blame tells which of the stanzas a refusal names, by key, address or policy. general says that the
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
	named := map[string]bool{}
	for _, e := range refused.Errors {
		for _, word := range strings.FieldsFunc(e.Path+" "+e.BadElement+" "+e.Message, notInAddress) {
			named[strings.ToLower(strings.Trim(word, ".:"))] = true
			named[strings.ToLower(word)] = true
		}
		general = general || isGeneral(e)
	}
	for _, s := range stanzas {
		if named[strings.ToLower(s.name())] || named[s.Peer.WithZone("").String()] || named[s.Peer.String()] || named[strings.ToLower(s.PolicyName())] {
			blamed = append(blamed, s)
		}
	}
	return blamed, general && len(blamed) == 0
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
	return strings.HasPrefix(e.Path, "[edit") && !strings.Contains(e.Path, "protocols bgp")
}
