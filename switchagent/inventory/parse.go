package inventory

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
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

// Columns are the columns of the table; the first row names them, in any order.
var Columns = []string{"port", "server", "as", "prefixes", "shared", "mac", "key_file"}

var needed = []string{"port", "server", "as"}

// A parser collects what is wrong, so that all of it is reported at once.
type parser struct {
	file     string
	csv      *csv.Reader
	columns  map[string]int
	row      []string
	problems []error
	left     int // problems that are not reported
}

// Parse reads a table: comma-separated values (RFC 4180) with a row of column names first. Lines that begin
// with # are comments, and what there are several of stands in one field with blanks between.
// CheckPrefix says why nobody may announce a prefix. Errors are
//
//	file:line:column: what is wrong and what is allowed
func Parse(file string, text []byte, checkPrefix func(netip.Prefix) error) (*Inventory, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: it has %d bytes, %d are allowed", file, len(text), maxFile)
	}
	p := &parser{file: file, csv: csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))}
	p.csv.Comment, p.csv.TrimLeadingSpace, p.csv.FieldsPerRecord = '#', true, -1
	inv := &Inventory{ports: map[string]int{}}
	if err := p.header(); err != nil {
		return nil, err
	}
	for {
		row, err := p.csv.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, p.syntax(err)
		}
		p.row = row
		e := p.entry(checkPrefix)
		if first, taken := inv.ports[e.Port]; taken {
			p.report("port", "%q is on line %d already; a port is listed once", e.Port, inv.entries[first].Line)
			continue
		}
		if len(inv.entries) == maxEntries {
			return nil, fmt.Errorf("%s:%d: more than %d ports", file, e.Line, maxEntries)
		}
		inv.ports[e.Port] = len(inv.entries)
		inv.entries = append(inv.entries, e)
	}
	if len(inv.entries) == 0 && len(p.problems) == 0 {
		return nil, fmt.Errorf("%s: no port is listed; at least one is wanted", file)
	}
	p.clashes(inv.entries)
	if p.left > 0 {
		p.problems = append(p.problems, fmt.Errorf("%s: and %d more", file, p.left))
	}
	if len(p.problems) > 0 {
		return nil, errors.Join(p.problems...)
	}
	return inv, nil
}

func (p *parser) header() error {
	row, err := p.csv.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: it is empty; a first row such as %s is wanted", p.file, strings.Join(Columns, ","))
	}
	if err != nil {
		return p.syntax(err)
	}
	p.columns = map[string]int{}
	for i, name := range row {
		name = strings.ToLower(strings.TrimSpace(name))
		line, column := p.csv.FieldPos(i)
		if !slices.Contains(Columns, name) {
			return fmt.Errorf("%s:%d:%d: %q is no column; allowed: %s", p.file, line, column, name, strings.Join(Columns, ", "))
		}
		if _, twice := p.columns[name]; twice {
			return fmt.Errorf("%s:%d:%d: column %q is there twice", p.file, line, column, name)
		}
		p.columns[name] = i
	}
	for _, name := range needed {
		if _, ok := p.columns[name]; !ok {
			return fmt.Errorf("%s:1:1: column %q is missing; wanted: %s", p.file, name, strings.Join(needed, ", "))
		}
	}
	return nil
}

func (p *parser) syntax(err error) error {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return fmt.Errorf("%s:%d:%d: %w", p.file, at.Line, at.Column, at.Err)
	}
	return fmt.Errorf("%s: %w", p.file, err)
}

// report notes a problem of a column of the current row.
func (p *parser) report(column, format string, args ...any) {
	line, at := p.csv.FieldPos(0)
	if i, ok := p.columns[column]; ok && i < len(p.row) {
		line, at = p.csv.FieldPos(i)
	}
	if column != "" {
		column += ": "
	}
	p.problem(fmt.Errorf("%s:%d:%d: %s%s", p.file, line, at, column, fmt.Sprintf(format, args...)))
}

func (p *parser) problem(err error) {
	if len(p.problems) >= maxErrors {
		p.left++
		return
	}
	p.problems = append(p.problems, err)
}

func (p *parser) field(column string) string {
	i, ok := p.columns[column]
	if !ok || i >= len(p.row) {
		return ""
	}
	return strings.TrimSpace(p.row[i])
}

func (p *parser) words(column string) []string {
	words := strings.Fields(p.field(column))
	if len(words) > maxWords {
		p.report(column, "%d of them; %d are allowed", len(words), maxWords)
		return nil
	}
	return words
}

var (
	portName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/:_-]{0,58}\.[0-9]{1,10}$`)
	serverName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)
)

// entry reads the current row.
func (p *parser) entry(checkPrefix func(netip.Prefix) error) Entry {
	line, _ := p.csv.FieldPos(0)
	e := Entry{Port: p.field("port"), Server: p.field("server"), KeyFile: p.field("key_file"), Line: line}
	if len(p.row) != len(p.columns) {
		p.report("", "the row has %d fields; the first row names %d columns", len(p.row), len(p.columns))
	}
	if !portName.MatchString(e.Port) {
		p.report("port", "%q is no logical interface; one such as ge-0/0/1.0 is wanted", e.Port)
	}
	if !serverName.MatchString(e.Server) {
		p.report("server", "%q is not allowed; 1 to 64 letters, digits, - _ and . are wanted, the first and last no sign", e.Server)
	}
	if strings.ContainsFunc(e.KeyFile, func(r rune) bool { return !unicode.IsPrint(r) }) {
		p.report("key_file", "%q is not allowed; a path of printable characters is wanted", e.KeyFile)
	}
	p.numbers(&e)
	e.Prefixes = p.prefixes("prefixes", checkPrefix)
	e.Shared = p.prefixes("shared", checkPrefix)
	for _, word := range p.words("mac") {
		mac, err := net.ParseMAC(word)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			p.report("mac", "%q is no MAC address of a machine; one such as 52:54:00:00:01:01 is wanted", word)
			continue
		}
		e.MACs = append(e.MACs, mac.String())
	}
	return e
}

func (p *parser) numbers(e *Entry) {
	for _, word := range p.words("as") {
		n, err := strconv.ParseUint(word, 10, 32)
		switch {
		case err != nil || n == 0:
			p.report("as", "%q is not allowed; 1 to 4294967294 is wanted", word)
		case n == 23456 || n == 65535 || n == 4294967295: // RFC 6793, RFC 7300
			p.report("as", "%d is reserved; another of 1 to 4294967294 is wanted", n)
		case slices.Contains(e.AS, uint32(n)):
			p.report("as", "%d is there twice", n)
		default:
			e.AS = append(e.AS, uint32(n))
		}
	}
	if p.field("as") == "" {
		p.report("as", "it is missing; the server's AS is wanted, and behind it those that may stand behind it in AS paths")
	}
	if len(e.AS) > 64 {
		p.report("as", "%d numbers; 64 are allowed", len(e.AS))
	}
}

func (p *parser) prefixes(column string, check func(netip.Prefix) error) (list []netip.Prefix) {
	for _, word := range p.words(column) {
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			p.report(column, "%q is no prefix; one such as 10.0.0.1/32 or 2001:db8::1/128 is wanted", word)
			continue
		}
		if err := check(prefix); err != nil {
			p.report(column, "%v", err)
			continue
		}
		if slices.Contains(list, prefix) {
			p.report(column, "%s is there twice", prefix)
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
func (p *parser) clashes(entries []Entry) {
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
