package rib

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// GracefulShutdown is the community of a path that is about to go (RFC 8326). It gives the path local preference 0,
// whatever the import policy says.
const GracefulShutdown uint32 = 0xffff0000

// wellKnown are the communities with names (IANA's registry), by the names FRR gives them.
var wellKnown = []struct {
	value uint32
	name  string
}{
	{0, "internet"},
	{GracefulShutdown, "graceful-shutdown"},
	{0xffff0001, "accept-own"},
	{0xffff0002, "route-filter-translated-v4"},
	{0xffff0003, "route-filter-v4"},
	{0xffff0004, "route-filter-translated-v6"},
	{0xffff0005, "route-filter-v6"},
	{0xffff0006, "llgr-stale"},
	{0xffff0007, "no-llgr"},
	{0xffff0008, "accept-own-nexthop"},
	{0xffff029a, "blackhole"},
	{0xffffff01, "no-export"},
	{0xffffff02, "no-advertise"},
	{0xffffff03, "local-AS"},
	{0xffffff04, "no-peer"},
}

func communityText(c uint32) string {
	for _, w := range wellKnown {
		if w.value == c {
			return w.name
		}
	}
	return fmt.Sprintf("%d:%d", c>>16, c&0xffff)
}

func largeText(c [3]uint32) string { return fmt.Sprintf("%d:%d:%d", c[0], c[1], c[2]) }

// Tags are communities that a path carries together.
type Tags struct {
	Standard []uint32
	Large    [][3]uint32
}

// carriedBy reports whether the path carries all of them.
func (t *Tags) carriedBy(p *Path) bool {
	for _, c := range t.Standard {
		if !slices.Contains(p.Communities, c) {
			return false
		}
	}
	for _, c := range t.Large {
		if !slices.Contains(p.LargeCommunities, c) {
			return false
		}
	}
	return true
}

// UnmarshalText reads communities with spaces between them: standard ones (65001:7), large ones (64512:1:7) and names of
// well-known ones (no-export).
func (t *Tags) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return errors.New("a community is wanted, such as 65001:7, 64512:1:7 or no-export, or several with spaces between them")
	}
	var read Tags
	for _, word := range words {
		if err := read.add(word); err != nil {
			return err
		}
	}
	*t = read
	return nil
}

func (t *Tags) add(word string) error {
	for _, w := range wellKnown {
		if w.name == word {
			t.Standard = append(t.Standard, w.value)
			return nil
		}
	}
	parts := strings.Split(word, ":")
	bits := map[int]int{2: 16, 3: 32}[len(parts)]
	var v [3]uint32
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, max(bits, 1))
		if bits == 0 || err != nil {
			return notACommunity(word)
		}
		v[i] = uint32(n)
	}
	if len(parts) == 2 {
		t.Standard = append(t.Standard, v[0]<<16|v[1])
	} else {
		t.Large = append(t.Large, v)
	}
	return nil
}

func notACommunity(word string) error {
	var names []string
	for _, w := range wellKnown {
		names = append(names, w.name)
	}
	return fmt.Errorf("%q is not a community: two numbers up to 65535 (65001:7), three up to 4294967295 (64512:1:7) or one of %s",
		word, strings.Join(names, ", "))
}
