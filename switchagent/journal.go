package switchagent

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"lastmile/switchagent/junos"
)

// journal is the log of what lasts: one line when it begins, however many polls find it so.
type journal struct {
	log     *slog.Logger
	refused map[netip.Addr]refusal
	crowd   map[string]int
	warned  map[string]string // by RPC
}

func newJournal(log *slog.Logger) *journal { return &journal{log: log, warned: map[string]string{}} }

// portReasons are the refusals that are about a port.
var portReasons = []refusal{unknownPort, wrongMAC, noKey, leafFull}

// refusals logs one line for each neighbour and reason, and of reasons that are about a
// port one for each port. Whoever is there may call himself something else every second.
func (j *journal) refusals(refused map[netip.Addr]refusal) {
	type place struct {
		link   string
		reason refusal
	}
	said := map[place]bool{}
	for peer, reason := range j.refused {
		said[place{peer.Zone(), reason}] = slices.Contains(portReasons, reason)
	}
	for peer, reason := range refused {
		at := place{peer.Zone(), reason}
		if j.refused[peer] == reason || said[at] {
			continue
		}
		said[at] = slices.Contains(portReasons, reason)
		level := slog.LevelWarn
		switch reason {
		case unresolved, notRouter: // as ordinary as a desktop
			level = slog.LevelDebug
		case quarantined, unproven, unusableGroup, readsOnly: // one line says it for all
			level = slog.LevelDebug
		}
		j.log.Log(context.Background(), level, "neighbour refused",
			"link", peer.Zone(), "peer", peer.WithZone(""), "reason", reason)
	}
	j.refused = refused
}

// crowds logs a port when it has more neighbours than may have a stanza, and when that is over.
func (j *journal) crowds(crowd map[string]int, allowed int) {
	for link, n := range crowd {
		if j.crowd[link] == 0 {
			j.log.Warn("port is full", "link", link, "refused", n, "allowed", allowed)
		}
	}
	for link := range j.crowd {
		if crowd[link] == 0 {
			j.log.Info("port is not full any more", "link", link)
		}
	}
	j.crowd = crowd
}

// rpc logs an operation, and what the leaf warns of if it is not what it has warned of before.
func (j *journal) rpc(t junos.Trace) {
	j.log.Debug("rpc", "rpc", t.RPC, "took", t.Took, "err", t.Err)
	if warnings := strings.Join(t.Warnings, "; "); warnings != "" && j.warned[t.RPC] != warnings {
		j.warned[t.RPC] = warnings
		j.log.Info("leaf warned", "rpc", t.RPC, "warnings", warnings)
	}
}
