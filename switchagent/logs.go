package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// logRefusals logs what is new: one line for each neighbour and reason.
func (a *Agent) logRefusals(refused map[netip.Addr]refusal) {
	for peer, reason := range refused {
		if a.refused[peer] == reason {
			continue
		}
		level := slog.LevelWarn
		switch reason {
		case unresolved, notRouter: // as ordinary as a desktop
			level = slog.LevelDebug
		case quarantined, unproven, unusableGroup: // one line says it for all
			level = slog.LevelDebug
		}
		a.log.Log(context.Background(), level, "neighbour refused",
			"link", peer.Zone(), "peer", peer.WithZone(""), "reason", reason)
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
