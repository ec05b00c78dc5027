package junos

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// interfaceRange is an entry of interfaces interface-range. Its members are physical interfaces, as single names, as
// patterns and from one to another ("Interface Ranges").
type interfaceRange struct {
	name    string
	members []string
	spans   [][2]string // the first and the last
}

// readRange reads an entry. A deactivated one is there and has no members.
func readRange(entry *element) interfaceRange {
	r := interfaceRange{name: entry.key()}
	if entry.inactive() {
		return r
	}
	for _, m := range entry.at("member") {
		r.members = append(r.members, m.key())
	}
	for _, s := range entry.at("member-range") {
		r.spans = append(r.spans, [2]string{s.key(), s.below("end-range").text()})
	}
	return r
}

// has says whether a physical interface is a member. What is not understood has it.
func (r interfaceRange) has(ifd string) bool {
	return slices.ContainsFunc(r.members, func(m string) bool { return matches(m, ifd) }) ||
		slices.ContainsFunc(r.spans, func(s [2]string) bool { return between(s[0], s[1], ifd) })
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
