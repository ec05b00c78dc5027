package hostagent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/hostagent/rib"
)

// A Path is one leaf's way to a prefix in the answer to `hostagent show
// routes`. Keys that FRR's `show bgp ipv4 unicast json` has are named as there.
type Path struct {
	Valid     bool      `json:"valid"` // always
	Best      bool      `json:"bestpath,omitempty"`
	Multipath bool      `json:"multipath,omitempty"`       // carries traffic together with others
	Selection string    `json:"selectionReason,omitempty"` // of the best path: by what it won
	PathFrom  string    `json:"pathFrom"`                  // always external
	MED       uint32    `json:"metric"`
	LocalPref uint32    `json:"locPrf"`
	PeerID    string    `json:"peerId"` // the leaf's link-local address, with its zone
	ASPath    string    `json:"path"`
	Origin    string    `json:"origin"`
	NextHops  []NextHop `json:"nexthops"`
	Uplink    string    `json:"uplink"`
	NextHop   string    `json:"nexthop"`          // as peerId
	Why       string    `json:"reason,omitempty"` // why it does not carry traffic
}

// A NextHop is where a path leads, as FRR shows it.
type NextHop struct {
	IP        string `json:"ip"`
	AFI       string `json:"afi"`
	Scope     string `json:"scope"`
	Interface string `json:"interfaceName"`
	Used      bool   `json:"used,omitempty"`
}

func nextHop(leaf netip.Addr, used bool) NextHop {
	return NextHop{IP: leaf.WithZone("").String(), AFI: "ipv6", Scope: "link-local", Interface: leaf.Zone(), Used: used}
}

func describe(e *rib.Entry, p *rib.EntryPath) Path {
	shown := Path{
		Valid: true, Best: p.Best, Multipath: p.Multipath, PathFrom: "external",
		MED: p.Path.MED, LocalPref: p.Path.LocalPref, PeerID: p.Peer.String(), ASPath: p.Path.ASPathText(), Origin: p.Path.OriginText(),
		NextHops: []NextHop{nextHop(p.Peer, p.Reason == "")},
		Uplink:   p.Peer.Zone(), NextHop: p.Peer.String(), Why: string(p.Reason),
	}
	if p.Best {
		shown.Selection = string(e.Selection)
	}
	return shown
}

// filter says which routes are asked for.
type filter struct {
	families [2]bool // IPv4, IPv6
	uplink   string  // "" for any
}

// filterOf reads the query of a request: family and uplink, both optional.
func (a *Agent) filterOf(r *http.Request) (filter, error) {
	f := filter{uplink: r.FormValue("uplink")}
	switch family := r.FormValue("family"); family {
	case "":
		f.families = [2]bool{true, true}
	case "ipv4":
		f.families[0] = true
	case "ipv6":
		f.families[1] = true
	default:
		return f, fmt.Errorf("family %s is not allowed: ipv4 or ipv6", quote(family))
	}
	if f.uplink == "" {
		return f, nil
	}
	var known []string
	err := a.inLoop(r.Context(), func(context.Context) { known = slices.Sorted(maps.Keys(a.uplinks)) })
	if err == nil && !slices.Contains(known, f.uplink) {
		err = fmt.Errorf("%s is not an uplink: there are %s", quote(f.uplink), strings.Join(known, ", "))
	}
	return f, err
}

// lookedUp is how many prefixes are looked up in one go: the loop waits a
// millisecond at most.
const lookedUp = 256

// slowReader is how long whoever reads routes may take for a part of them: a
// pager waits for a person.
const slowReader = 10 * time.Minute

// serveRoutes answers with the whole table, part by part: what it costs in
// memory does not depend on the number of paths. The answer is not of one
// moment; each prefix is right when it is looked up.
func (a *Agent) serveRoutes(w http.ResponseWriter, r *http.Request) {
	f, err := a.filterOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var prefixes rib.Prefixes
	if err := a.inLoop(r.Context(), func(context.Context) { prefixes = a.rib.Prefixes() }); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"routerId\":%q,\"localAS\":%d,\"defaultLocPrf\":100,\"routes\":{", a.cfg.RouterID, a.cfg.AS)
	separator := ""
	for part := range parts(prefixes.All()) {
		entries := make([]rib.Entry, 0, len(part))
		err := a.inLoop(r.Context(), func(context.Context) {
			for _, prefix := range part {
				if e, found := a.rib.Lookup(prefix); found {
					entries = append(entries, e)
				}
			}
		})
		if err != nil {
			panic(http.ErrAbortHandler) // nobody is to take what there is for the whole
		}
		var text bytes.Buffer
		for i := range entries {
			separator = f.append(&text, &entries[i], separator)
		}
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slowReader))
		if _, err := w.Write(text.Bytes()); err != nil {
			return // nobody reads it any more
		}
	}
	fmt.Fprintln(w, "}}")
}

// parts cuts a sequence into parts.
func parts(all iter.Seq[netip.Prefix]) iter.Seq[[]netip.Prefix] {
	return func(yield func([]netip.Prefix) bool) {
		part := make([]netip.Prefix, 0, lookedUp)
		for prefix := range all {
			if part = append(part, prefix); len(part) < lookedUp {
				continue
			}
			if !yield(part) {
				return
			}
			part = part[:0]
		}
		if len(part) > 0 {
			yield(part)
		}
	}
}

// append adds the entry's paths as a member of a JSON object, if any are asked
// for, and returns what is to stand before the next.
func (f *filter) append(text *bytes.Buffer, e *rib.Entry, separator string) string {
	if family := e.Prefix.Addr().Is6(); !f.families[0] && !family || !f.families[1] && family {
		return separator
	}
	var paths []Path
	for i := range e.Paths {
		if p := describe(e, &e.Paths[i]); f.uplink == "" || f.uplink == p.Uplink {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		return separator
	}
	fmt.Fprintf(text, "%s%q:", separator, e.Prefix)
	json.NewEncoder(text).Encode(paths) // which ends the line
	return ","
}

// aligned is how many rows of a table are aligned with each other: all rows of
// a small table, and no more than memory should hold of a large one.
const aligned = 4096

// WriteRoutes writes the table that people read, of the answer to "routes" as
// it comes: > is the best path, = one that carries traffic beside it.
func WriteRoutes(w io.Writer, answer io.Reader) error {
	in := json.NewDecoder(answer)
	if err := seek(in, "routes"); err != nil {
		return fmt.Errorf("reading hostagent's answer: %w", err)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, " \tPREFIX\tUPLINK\tNEXT HOP\tAS PATH\tNOT USED BECAUSE")
	for rows := 0; in.More(); {
		prefix, err := in.Token()
		var paths []Path
		if err == nil {
			err = in.Decode(&paths)
		}
		if err != nil {
			return fmt.Errorf("reading hostagent's answer: %w", err)
		}
		for _, p := range paths {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", p.mark(), prefix, p.Uplink, p.NextHop, p.ASPath, p.Why)
			if rows++; rows%aligned == 0 {
				if err := t.Flush(); err != nil {
					return err
				}
			}
		}
	}
	if _, err := in.Token(); err != nil { // More says no at the end of what was cut off too
		return fmt.Errorf("reading hostagent's answer: %w", err)
	}
	return t.Flush()
}

// mark is what FRR puts before a path.
func (p *Path) mark() string {
	switch {
	case p.Best:
		return ">"
	case p.Multipath:
		return "="
	}
	return " "
}

// seek goes into the object that is the value of key.
func seek(in *json.Decoder, key string) error {
	for at := json.Token(nil); ; {
		token, err := in.Token()
		if err != nil {
			return err
		}
		if at == key && token == json.Delim('{') {
			return nil
		}
		at = token
	}
}

// quote quotes what somebody has typed, if it is not too long to be read.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
