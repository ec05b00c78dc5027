package switchagent

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

const (
	// saidAgain is how long a line of the log holds though the prefixes are others.
	saidAgain = time.Hour
	// saidOften is how often a kind may come and go on a port within that and be told of each time.
	saidOften = 6
)

// said is what the log says of a kind on a port.
type said struct {
	text  string // of the last line; "" if it said that the kind is gone
	at    time.Time
	since time.Time // when times was counted from
	times int       // that it has come
}

// log has one line for a kind of a port when it comes and one when it goes, and one an hour while its prefixes change.
// What nobody was told of is only counted.
func (r *rejections) log(log *slog.Logger, links map[string]map[kind]sample) {
	now := time.Now()
	for _, port := range slices.Sorted(maps.Keys(r.said)) {
		kinds := r.said[port]
		for _, is := range allKinds {
			last, known := kinds[is]
			if _, there := links[port][is]; there || !known {
				continue
			}
			if last.text != "" {
				log.Info("leaf rejects no such prefixes any more", "link", port, "kind", is)
				last.text = ""
			}
			if now.Sub(last.since) >= saidAgain {
				delete(kinds, is)
			}
		}
		if len(kinds) == 0 {
			delete(r.said, port)
		}
	}
	for _, port := range slices.Sorted(maps.Keys(links)) {
		for _, is := range allKinds {
			s, there := links[port][is]
			if attrs := s.attrs(port, is); there && is != kindUnread && r.say(now, port, is, fmt.Sprint(attrs...)) {
				log.Warn("leaf rejects prefixes", attrs...)
			}
		}
	}
}

// say says whether a line is worth it now, and takes it for written.
func (r *rejections) say(now time.Time, port string, is kind, text string) bool {
	if r.said[port] == nil {
		r.said[port] = map[kind]*said{}
	}
	last := r.said[port][is]
	if last == nil {
		last = &said{since: now}
		r.said[port][is] = last
	}
	comes := last.text == ""
	if now.Sub(last.since) >= saidAgain {
		last.since, last.times = now, 0
	}
	if comes && last.times >= saidOften || !comes && (text == last.text || now.Sub(last.at) < saidAgain) {
		return false
	}
	if comes {
		last.times++
	}
	last.text, last.at = text, now
	return true
}

func (s sample) attrs(port string, is kind) []any {
	attrs := []any{"link", port, "kind", is, "rejected", s.n}
	if len(s.prefixes) > 0 {
		attrs = append(attrs, "prefixes", s.prefixes)
	}
	if s.whose != "" {
		attrs = append(attrs, "whose", s.whose)
	}
	if s.path != "" {
		attrs = append(attrs, "path", s.path)
	}
	return attrs
}
