package junos

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"lastmile/switchagent/netconf"
)

// Hidden is a prefix that a peer has announced and the switch does not use, as a rule because the peer's import
// policy has rejected it.
type Hidden struct {
	Prefix netip.Prefix
	// Path is the AS path as the switch prints it, without the origin: "64512 4200000101". It is empty if
	// the switch did not tell, and ends with "..." if it was longer than 256 bytes.
	Path string
}

// MostHidden is how many prefixes of a peer are kept, of what may be a whole table.
const MostHidden = 100

// peerName is an address as it may stand in a question; the interface's name comes from a reply.
var peerName = regexp.MustCompile(`^[0-9A-Fa-f:.]+(%[A-Za-z0-9/:._-]+)?$`)

// receivedFrom and receivedEnd are around the peer in the question, and receivedCommand is the same on a command line.
const (
	receivedFrom = "<get-route-information><receive-protocol-name>bgp</receive-protocol-name><peer>"
	receivedEnd  = "</peer><hidden/></get-route-information>"
)

func receivedCommand(body string) string {
	peer := strings.TrimSuffix(strings.TrimPrefix(body, receivedFrom), receivedEnd)
	return "show route receive-protocol bgp " + peer + " hidden"
}

// Hidden reads what the switch hides of a peer's announcements, IPv4 and IPv6, in no order (get-route-information, "show
// route receive-protocol bgp PEER hidden"). The peer is named as Sessions names it: some releases have the interface
// in the name, some do not. Other tables than inet.0 and inet6.0 are not looked at.
func (c *Client) Hidden(ctx context.Context, peer netip.Addr) ([]Hidden, error) {
	name := peer.String()
	if !peerName.MatchString(name) {
		return nil, fmt.Errorf("hidden routes: peer %q: only an address, or one with %% and the name of an interface, is asked for", name)
	}
	table := hiddenTable{seen: map[netip.Prefix]bool{}}
	table.fields = table.read.field
	_, err := c.call(ctx, netconf.Call{Body: receivedFrom + name + receivedEnd, Elements: elements{
		"table-name": table.begin, "rt": table.route,
	}})
	if err != nil {
		return nil, err
	}
	return table.routes, nil
}

// hiddenTable collects the routes of a reply.
type hiddenTable struct {
	routes []Hidden
	seen   map[netip.Prefix]bool // each routing engine may list it
	ours   bool                  // the table that is being read
	read   hiddenRoute
	fields netconf.Fields // into read
}

// hiddenRoute is the texts of a route. All routes of a reply are read into the same.
type hiddenRoute struct {
	destination, length, path []byte
	used                      bool
}

func (r *hiddenRoute) field(path, text []byte) {
	switch string(path) {
	case "rt-destination":
		r.destination = append(r.destination[:0], text...)
	case "rt-prefix-length": // of the detailed form
		r.length = append(r.length[:0], text...)
	case "rt-entry/as-path":
		if len(r.path) == 0 {
			r.path = append(r.path, text...)
		}
	case "rt-entry/current-active":
		r.used = true
	case "rt-entry/active-tag":
		r.used = r.used || string(text) == "*"
	}
}

// prefix is the route's; the detailed form has its length apart.
func (r *hiddenRoute) prefix() (netip.Prefix, bool) {
	written := string(r.destination)
	if len(r.length) > 0 && !strings.Contains(written, "/") {
		written += "/" + string(r.length)
	}
	p, err := netip.ParsePrefix(written)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}

func (t *hiddenTable) begin(decode func(any) error) error {
	var name text
	err := decode(&name)
	t.ours = name == "inet.0" || name == "inet6.0"
	return err
}

func (t *hiddenTable) route(decode func(any) error) error {
	if !t.ours || len(t.routes) >= MostHidden {
		return nil
	}
	r := &t.read
	*r = hiddenRoute{destination: r.destination[:0], length: r.length[:0], path: r.path[:0]}
	if err := decode(t.fields); err != nil {
		return err
	}
	// What is in use is there only where hidden is not understood.
	if prefix, ok := r.prefix(); ok && !r.used && !t.seen[prefix] {
		t.seen[prefix] = true
		t.routes = append(t.routes, Hidden{prefix, asPathText(string(r.path))})
	}
	return nil
}

// maxPathText is the longest AS path that is kept, in bytes.
const maxPathText = 256

// asPathText is the ASes of "AS path: 64512 {65001 65002} I", up to the origin and whatever is behind it.
func asPathText(text string) string {
	var path strings.Builder
	for _, word := range strings.Fields(strings.TrimPrefix(text, "AS path:")) {
		if strings.Trim(word, "0123456789.,{}()[]") != "" {
			break
		}
		if path.Len()+len(word) > maxPathText {
			path.WriteString(" ...")
			break
		}
		if path.Len() > 0 {
			path.WriteByte(' ')
		}
		path.WriteString(word)
	}
	return strings.TrimSpace(path.String())
}

// ASes is the path as a list, or false if it is not known, or more than a sequence of ASes: with sets, or cut off.
func (h Hidden) ASes() (path []uint32, plain bool) {
	for _, word := range strings.Fields(h.Path) {
		as, err := parseAS(word)
		if err != nil {
			return nil, false
		}
		path = append(path, as)
	}
	return path, len(path) > 0
}

// parseAS reads 4200000101 and 64086.60005, which is the same in the notation of RFC 5396 that a switch can be
// told to use.
func parseAS(word string) (uint32, error) {
	high, low, dotted := strings.Cut(word, ".")
	if !dotted {
		as, err := strconv.ParseUint(word, 10, 32)
		return uint32(as), err
	}
	h, err := strconv.ParseUint(high, 10, 16)
	if err != nil {
		return 0, err
	}
	l, err := strconv.ParseUint(low, 10, 16)
	return uint32(h<<16 | l), err
}
