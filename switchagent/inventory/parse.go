package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxFile    = 16 << 20 // bytes
	maxEntries = 10_000
	maxWords   = 1024 // in one field
	maxErrors  = 20   // that are reported at once
)

// known are the columns of a table, whose first row names them in any order, and the keys of YAML.
var known = []string{"port", "server", "as", "prefixes", "shared", "mac", "key_file"}

var needed = []string{"port", "server", "as"}

// word is a value, and where it stands.
type word struct {
	text         string
	line, column int
}

// record is one port as it was read: what stands in each column, and where the column itself does.
type record struct {
	word
	cells map[string]cell
}

type cell struct {
	word         // all of it
	words []word // what there are several of
}

// A reader collects what is wrong, so that all of it is reported at once.
type reader struct {
	file        string
	checkPrefix func(netip.Prefix) error
	inv         *Inventory
	problems    []error
	left        int // problems that are not reported
}

// Parse reads an inventory. A file whose name ends with .yaml or .yml is YAML, any other a table:
// comma-separated values (RFC 4180) with a row of column names first. Lines of it that begin
// with # are comments, and what there are several of stands in one field with blanks between.
// CheckPrefix says why nobody may announce a prefix. Errors are
//
//	file:line:column: what is wrong and what is allowed
func Parse(file string, text []byte, checkPrefix func(netip.Prefix) error) (*Inventory, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: it has %d bytes, %d are allowed", file, len(text), maxFile)
	}
	p := &reader{file: file, checkPrefix: checkPrefix, inv: &Inventory{ports: map[string]int{}}}
	read := p.table
	if ext := strings.ToLower(filepath.Ext(file)); ext == ".yaml" || ext == ".yml" {
		read = p.yaml
	}
	if err := read(text); err != nil {
		return nil, err
	}
	if len(p.inv.entries) == 0 && len(p.problems) == 0 {
		return nil, fmt.Errorf("%s: no port is listed; at least one is wanted", file)
	}
	p.clashes(p.inv.entries)
	if p.left > 0 {
		p.problems = append(p.problems, fmt.Errorf("%s: and %d more", file, p.left))
	}
	if len(p.problems) > 0 {
		return nil, errors.Join(p.problems...)
	}
	return p.inv, nil
}

// add adds a port.
func (p *reader) add(r record) error {
	e := p.entry(r)
	if first, taken := p.inv.ports[e.Port]; taken {
		p.report(r.at("port"), "port", "%q is on line %d already; a port is listed once", e.Port, p.inv.entries[first].Line)
		return nil
	}
	if len(p.inv.entries) == maxEntries {
		return fmt.Errorf("%s:%d: more than %d ports", p.file, e.Line, maxEntries)
	}
	p.inv.ports[e.Port] = len(p.inv.entries)
	p.inv.entries = append(p.inv.entries, e)
	return nil
}

// at is where a column stands, or the port if it has none.
func (r record) at(column string) word {
	if c, ok := r.cells[column]; ok {
		return c.word
	}
	return r.word
}

// report notes a problem of a column.
func (p *reader) report(at word, column, format string, args ...any) {
	if column != "" {
		column += ": "
	}
	p.problem(fmt.Errorf("%s:%d:%d: %s%s", p.file, at.line, at.column, column, fmt.Sprintf(format, args...)))
}

func (p *reader) problem(err error) {
	if len(p.problems) >= maxErrors {
		p.left++
		return
	}
	p.problems = append(p.problems, err)
}

func (p *reader) words(r record, column string) []word {
	words := r.cells[column].words
	if len(words) > maxWords {
		p.report(r.at(column), column, "%d of them; %d are allowed", len(words), maxWords)
		return nil
	}
	return words
}

var (
	portName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/:_-]{0,58}\.[0-9]{1,10}$`)
	serverName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)
)

// entry reads a port.
func (p *reader) entry(r record) Entry {
	e := Entry{Port: r.cells["port"].text, Server: r.cells["server"].text, KeyFile: r.cells["key_file"].text, Line: r.line}
	if !portName.MatchString(e.Port) {
		p.report(r.at("port"), "port", "%q is no logical interface; one such as ge-0/0/1.0 is wanted", e.Port)
	}
	if !serverName.MatchString(e.Server) {
		p.report(r.at("server"), "server", "%q is not allowed; 1 to 64 letters, digits, - _ and . are wanted, the first and last no sign", e.Server)
	}
	if strings.ContainsFunc(e.KeyFile, func(r rune) bool { return !unicode.IsPrint(r) }) {
		p.report(r.at("key_file"), "key_file", "%q is not allowed; a path of printable characters is wanted", e.KeyFile)
	}
	p.numbers(r, &e)
	e.Prefixes = p.prefixes(r, "prefixes")
	e.Shared = p.prefixes(r, "shared")
	for _, word := range p.words(r, "mac") {
		mac, err := net.ParseMAC(word.text)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			p.report(word, "mac", "%q is no MAC address of a machine; one such as 52:54:00:00:01:01 is wanted", word.text)
			continue
		}
		e.MACs = append(e.MACs, mac.String())
	}
	return e
}

func (p *reader) numbers(r record, e *Entry) {
	for _, word := range p.words(r, "as") {
		n, err := strconv.ParseUint(word.text, 10, 32)
		switch {
		case err != nil || n == 0:
			p.report(word, "as", "%q is not allowed; 1 to 4294967294 is wanted", word.text)
		case n == 23456 || n == 65535 || n == 4294967295: // RFC 6793, RFC 7300
			p.report(word, "as", "%d is reserved; another of 1 to 4294967294 is wanted", n)
		case slices.Contains(e.AS, uint32(n)):
			p.report(word, "as", "%d is there twice", n)
		default:
			e.AS = append(e.AS, uint32(n))
		}
	}
	if len(r.cells["as"].words) == 0 {
		p.report(r.at("as"), "as", "it is missing; the server's AS is wanted, and behind it those that may stand behind it in AS paths")
	}
	if len(e.AS) > 64 {
		p.report(r.at("as"), "as", "%d numbers; 64 are allowed", len(e.AS))
	}
}

func (p *reader) prefixes(r record, column string) (list []netip.Prefix) {
	for _, word := range p.words(r, column) {
		prefix, err := netip.ParsePrefix(word.text)
		if err != nil {
			p.report(word, column, "%q is no prefix; one such as 10.0.0.1/32 or 2001:db8::1/128 is wanted", word.text)
			continue
		}
		if err := p.checkPrefix(prefix); err != nil {
			p.report(word, column, "%v", err)
			continue
		}
		if slices.Contains(list, prefix) {
			p.report(word, column, "%s is there twice", prefix)
			continue
		}
		list = append(list, prefix)
	}
	return list
}

// claim is a prefix of an entry.
type claim struct {
	netip.Prefix
	entry  Entry
	shared bool
}

// clashes reports prefixes of two servers. One that holds another's is refused like the same: its server
// would get the other's packets as soon as the other is down.
func (p *reader) clashes(entries []Entry) {
	var claims []claim
	for _, e := range entries {
		for _, prefix := range e.Prefixes {
			claims = append(claims, claim{prefix, e, false})
		}
		for _, prefix := range e.Shared {
			claims = append(claims, claim{prefix, e, true})
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()), cmp.Compare(a.entry.Line, b.entry.Line))
	})
	var around []claim // those that hold the current one, from the widest
	for _, c := range claims {
		around = slices.DeleteFunc(around, func(a claim) bool { return !a.Contains(c.Addr()) })
		for _, a := range around {
			if a.entry.Server != c.entry.Server && !(a.shared && c.shared && a.Prefix == c.Prefix) {
				p.problem(fmt.Errorf("%s:%d: %s of %s is %s, which %s has on line %d; only the same prefix, in the column shared of both, may have two servers",
					p.file, c.entry.Line, c.Prefix, c.entry.Server, within(c.Prefix, a.Prefix), a.entry.Server, a.entry.Line))
				break
			}
		}
		if len(around) < 256 { // of more the report would say nothing new
			around = append(around, c)
		}
	}
}

func within(inner, outer netip.Prefix) string {
	if inner == outer {
		return "that"
	}
	return "within " + outer.String()
}
