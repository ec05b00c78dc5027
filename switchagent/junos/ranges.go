package junos

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// interfaceRange is an entry of interfaces interface-range. Its members are physical interfaces, as single names, as
// patterns and from one to another ("Interface Ranges").
type interfaceRange struct {
	mark
	Name    text `xml:"name"`
	Members []struct {
		mark
		Name text `xml:"name"`
	} `xml:"member"`
	Spans []struct {
		mark
		From text `xml:"name"`
		To   text `xml:"end-range"`
	} `xml:"member-range"`
}

// has says whether a physical interface is a member. What is not understood has it.
func (r interfaceRange) has(ifd string) bool {
	if !r.active() {
		return false
	}
	for _, m := range r.Members {
		if m.active() && matches(string(m.Name), ifd) {
			return true
		}
	}
	for _, s := range r.Spans {
		if s.active() && between(string(s.From), string(s.To), ifd) {
			return true
		}
	}
	return false
}

// matches says whether a name is that of the pattern, in which [3-17] stands for a number and * for anything
// between two slashes. A part that is not understood matches.
func matches(pattern, name string) bool {
	patterns, parts := strings.Split(pattern, "/"), strings.Split(name, "/")
	if len(patterns) != len(parts) {
		return strings.ContainsAny(pattern, "*?[") // not understood
	}
	for i, part := range parts {
		if !matchesPart(patterns[i], part) {
			return false
		}
	}
	return true
}

func matchesPart(pattern, part string) bool {
	before, rest, numbered := strings.Cut(pattern, "[")
	if !numbered {
		matched, err := path.Match(pattern, part)
		return matched || err != nil
	}
	list, after, closed := strings.Cut(rest, "]")
	spans, understood := numbers(list)
	if !closed || !understood || strings.ContainsAny(before+after, "*?[\\") {
		return true
	}
	digits, same := strings.CutPrefix(part, before)
	digits, ends := strings.CutSuffix(digits, after)
	n, err := strconv.Atoi(digits)
	return same && ends && err == nil && slices.ContainsFunc(spans, func(s [2]int) bool { return s[0] <= n && n <= s[1] })
}

// numbers reads 3-17,20.
func numbers(list string) (spans [][2]int, understood bool) {
	for word := range strings.SplitSeq(list, ",") {
		low, high, span := strings.Cut(strings.TrimSpace(word), "-")
		if !span {
			high = low
		}
		from, fromErr := strconv.Atoi(low)
		to, toErr := strconv.Atoi(high)
		if fromErr != nil || toErr != nil {
			return nil, false
		}
		spans = append(spans, [2]int{from, to})
	}
	return spans, true
}

// between compares media by name and places by number: ge-0/0/9 is before ge-0/0/10.
func between(from, to, ifd string) bool {
	media, at := place(ifd)
	fromMedia, low := place(from)
	toMedia, high := place(to)
	if low == nil || high == nil {
		return true // not understood
	}
	return media == fromMedia && media == toMedia && slices.Compare(low, at) <= 0 && slices.Compare(at, high) <= 0
}

// place is an interface as its medium and the numbers of its place; none if it has no such name.
func place(ifd string) (media string, at []int) {
	media, numbers, _ := strings.Cut(ifd, "-")
	for _, word := range strings.FieldsFunc(numbers, func(r rune) bool { return r == '/' || r == ':' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return media, nil
		}
		at = append(at, n)
	}
	return media, at
}

// plainInterface is what no range is called: a place on a card, or a pseudo interface by its number.
var plainInterface = regexp.MustCompile(`/|^(ae|em|fti|fxp|irb|lo|me|ps|re|reth|st|vlan|vme)[0-9]*(\.[0-9*]+)?$`)

// meant says whether a name that stands where one of an interface or of a range may stand is about a logical
// interface. A name that is neither an interface nor a range that can be seen may be about any.
func (b Base) meant(name, ifl string) bool {
	if covered([]string{name}, ifl) {
		return true
	}
	bare, _, _ := strings.Cut(name, ".")
	ifd, _, _ := strings.Cut(ifl, ".")
	known := false
	for _, r := range b.ranges {
		if string(r.Name) != name && string(r.Name) != bare {
			continue
		}
		if known = true; r.has(ifd) {
			return true
		}
	}
	return !known && !plainInterface.MatchString(name)
}
