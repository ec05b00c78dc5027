package rib

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Rule is a step of the import policy: what it matches, and what becomes of that. The zero Rule accepts everything as it is.
type Rule struct {
	Links       []string // patterns as of [path.Match], one of which the zone of the peer's address matches; empty: any link
	Prefixes    []Range  // one of which the prefix is in; empty: any prefix
	Communities []Tags   // of one of which the path carries all; empty: any path
	MaxLength   int      // of the path, counted as Path.Length; 0: any

	Reject    bool
	LocalPref *uint32 // given to what is accepted; nil: what it has
}

// Range is the prefixes inside Prefix whose length is from Min to Max.
type Range struct {
	Prefix   netip.Prefix
	Min, Max int
}

// Contains reports whether the prefix is in the range.
func (r Range) Contains(prefix netip.Prefix) bool {
	bits := prefix.Bits()
	return r.Min <= bits && bits <= r.Max && r.Prefix.Bits() <= bits && r.Prefix.Contains(prefix.Addr())
}

// rulesFor returns the rules that can match what comes over the link.
func rulesFor(policy []Rule, link string) []Rule {
	if len(policy) == 0 {
		return []Rule{{}}
	}
	var rules []Rule
	for _, r := range policy {
		matches := func(pattern string) bool {
			ok, err := path.Match(pattern, link)
			return ok && err == nil
		}
		if len(r.Links) == 0 || slices.ContainsFunc(r.Links, matches) {
			rules = append(rules, r)
		}
	}
	return rules
}

// admit reports whether the rules accept the path, and the local preference that it is to have.
func admit(rules []Rule, prefix netip.Prefix, p *Path) (localPref uint32, accepted bool) {
	for i := range rules {
		r := &rules[i]
		if !r.matches(prefix, p) {
			continue
		}
		localPref = p.LocalPref
		if r.LocalPref != nil {
			localPref = *r.LocalPref
		}
		if slices.Contains(p.Communities, GracefulShutdown) {
			localPref = 0
		}
		return localPref, !r.Reject
	}
	return 0, false
}

// matches leaves out the links: see rulesFor.
func (r *Rule) matches(prefix netip.Prefix, p *Path) bool {
	carried := func(all Tags) bool { return all.carriedBy(p) }
	inRange := func(list Range) bool { return list.Contains(prefix) }
	return (r.MaxLength == 0 || p.Length <= r.MaxLength) &&
		(len(r.Communities) == 0 || slices.ContainsFunc(r.Communities, carried)) &&
		(len(r.Prefixes) == 0 || slices.ContainsFunc(r.Prefixes, inRange))
}

// UnmarshalText reads a range as prefix lists write it: 10.0.0.0/8 is that prefix alone, "10.0.0.0/8 le 32" it and all inside
// it, "10.0.0.0/8 ge 24" those of at least 24 bits, "10.0.0.0/8 ge 24 le 28" those from 24 to 28 bits.
func (r *Range) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words)%2 == 0 {
		return errors.New("a prefix is wanted, such as 10.0.0.0/8, and after it le or ge with a length, such as 10.0.0.0/8 ge 24 le 32")
	}
	prefix, err := netip.ParsePrefix(words[0])
	if err != nil {
		return fmt.Errorf("%q is not a prefix, such as 10.0.0.0/8", words[0])
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("bits are set behind the prefix %s; %s?", prefix, prefix.Masked())
	}
	most := prefix.Addr().BitLen()
	read := Range{Prefix: prefix, Min: prefix.Bits(), Max: prefix.Bits()}
	for i := 1; i < len(words); i += 2 {
		bits, err := strconv.Atoi(words[i+1])
		if err != nil || bits < read.Min || bits > most {
			return fmt.Errorf("%q is not a length from %d to %d", words[i+1], read.Min, most)
		}
		switch {
		case words[i] == "ge" && i == 1:
			read.Min, read.Max = bits, most
		case words[i] == "le" && i == len(words)-2:
			read.Max = bits
		default:
			return fmt.Errorf("%q is not allowed here: ge LENGTH, le LENGTH or ge LENGTH le LENGTH", words[i])
		}
	}
	*r = read
	return nil
}
