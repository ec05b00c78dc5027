package junos

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestPrivateLooksLate: a private copy has no lock. Somebody's commit between the first look and the load is seen
// before ours.
func TestPrivateLooksLate(t *testing.T) {
	const nothing = "<configuration/>"
	const theirs = `<configuration><protocols><bgp><group><name>servers</name><neighbor><name>fe80::9</name><description>lastmile: other</description>` +
		`<local-interface>ge-0/0/9.0</local-interface></neighbor></group></bgp></protocols></configuration>`
	for name, late := range map[string]string{"nobody else": nothing, "somebody": theirs} {
		d := &device{t: t, replies: map[string][]string{
			"get-configuration": {nothing, late}, "open-configuration": {"<ok/>"}, "load-configuration": {"<ok/>"},
			"commit-configuration": {"<ok/>"}, "close-configuration": {"<ok/>"}, "get-commit-information": {""},
		}}
		outcome, err := of(d.client(), Options{Kind: Private}).Commit(t.Context(), Change{Add: []Stanza{more}})
		committed := slices.ContainsFunc(d.asked, func(body string) bool { return strings.HasPrefix(body, "<commit-configuration") })
		if want := late == nothing; committed != want || (outcome == Applied) != want || errors.Is(err, ErrChanged) == want {
			t.Errorf("%s: %s, %v, committed: %v", name, outcome, err, committed)
		}
	}
}
