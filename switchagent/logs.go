package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// logRefusals logs what is new: one line for each neighbour and reason, and of reasons that are about a
// port one for each port. Whoever is there may call himself something else every second.
func (a *Agent) logRefusals(refused map[netip.Addr]refusal) {
	type place struct {
		link   string
		reason refusal
	}
	ports := []refusal{unknownPort, wrongMAC, noKey, leafFull}
	said := map[place]bool{}
	for peer, reason := range a.refused {
		said[place{peer.Zone(), reason}] = slices.Contains(ports, reason)
	}
	for peer, reason := range refused {
		at := place{peer.Zone(), reason}
		if a.refused[peer] == reason || said[at] {
			continue
		}
		said[at] = slices.Contains(ports, reason)
		level := slog.LevelWarn
		switch reason {
		case unresolved, notRouter: // as ordinary as a desktop
			level = slog.LevelDebug
		case quarantined, unproven, unusableGroup, readsOnly: // one line says it for all
			level = slog.LevelDebug
		}
		a.log.Log(context.Background(), level, "neighbour refused",
			"link", peer.Zone(), "peer", peer.WithZone(""), "reason", reason)
	}
}

// logCrowds logs a port when it has more neighbours than may have a stanza, and when that is over.
func (a *Agent) logCrowds(crowd map[string]int) {
	for link, n := range crowd {
		if a.crowd[link] == 0 {
			a.log.Warn("port is full", "link", link, "refused", n, "allowed", a.cfg.SessionsPerPort)
		}
	}
	for link := range a.crowd {
		if crowd[link] == 0 {
			a.log.Info("port is not full any more", "link", link)
		}
	}
}

// traceRPC is called after each RPC.
func (a *Agent) traceRPC(t junos.Trace) {
	a.metrics.rpcs.WithLabelValues(t.RPC).Observe(t.Took.Seconds())
	a.log.Debug("rpc", "rpc", t.RPC, "took", t.Took, "err", t.Err)
	if warnings := strings.Join(t.Warnings, "; "); warnings != "" && a.warned[t.RPC] != warnings {
		a.warned[t.RPC] = warnings
		a.log.Info("leaf warned", "rpc", t.RPC, "warnings", warnings)
	}
}

// holdRemovals notes that more servers are gone at once than is believable.
func (a *Agent) holdRemovals(n int) {
	var held error
	if n > 0 {
		held = fmt.Errorf("%d stanzas would be removed at once, more than max_removals or max_removal_share: nothing is removed", n)
	}
	if before := a.health.Load().held; held != nil && before == nil {
		a.log.Error("removals are held", "stanzas", n, "err", held)
	}
	a.setHealth(func(h *health) { h.held = held })
}

const (
	usageEvery = 5 * time.Minute
	usageHigh  = 0.8 // of the most that the database takes
)

// watchUsage looks now and then how full the database is. What is deleted in an ephemeral one takes
// room for a while, and a full one takes no stanza.
func (a *Agent) watchUsage(ctx context.Context, l leaf) error {
	now := time.Now()
	if now.Before(a.usageAfter) {
		return nil
	}
	a.usageAfter = now.Add(usageEvery)
	u, err := l.usage(ctx)
	if errors.Is(err, junos.ErrLost) {
		return err
	}
	if err != nil {
		a.log.Warn("database usage is not known", "err", err)
		return nil
	}
	if a.metrics.usage(u); u.Maximum > 0 && float64(u.Used) > usageHigh*float64(u.Maximum) {
		a.log.Warn("configuration database is filling up", "used", u.Used, "maximum", u.Maximum)
	}
	return nil
}
