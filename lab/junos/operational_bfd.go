package junos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// frrBFDPeer is one entry of `show bfd peers json`. Intervals are in
// milliseconds, times in seconds.
type frrBFDPeer struct {
	Peer             string `json:"peer"`
	Interface        string `json:"interface"`
	Status           string `json:"status"`
	ID               uint32 `json:"id"`
	RemoteID         uint32 `json:"remote-id"`
	Uptime           int    `json:"uptime"`
	Downtime         int    `json:"downtime"`
	Diagnostic       string `json:"diagnostic"`
	RemoteDiagnostic string `json:"remote-diagnostic"`
	Multiplier       int    `json:"detect-multiplier"`
	Receive          int    `json:"receive-interval"`
	Transmit         int    `json:"transmit-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
}

func (s *session) bfdSessions(ctx context.Context, _ *element, w *writer) error {
	var peers []frrBFDPeer
	out, err := s.device.cfg.Router.Show(ctx, "show bfd peers json")
	// Without bfdd there is nothing to show, and vtysh says so in words.
	if err == nil && json.Valid(out) {
		if err := json.Unmarshal(out, &peers); err != nil {
			return fmt.Errorf("reading the router's BFD sessions: %w", err)
		}
	}
	w.payload("bfd-session-information", "bfd", "junos:style", "extensive")
	for i := range peers {
		s.bfdSession(w, &peers[i])
	}
	w.number("sessions", len(peers))
	w.number("clients", len(peers))
	w.close()
	return nil
}

func (s *session) bfdSession(w *writer, p *frrBFDPeer) {
	logical, _ := s.device.names.logical(p.Interface)
	state := map[string]string{"up": "Up", "down": "Down", "init": "Init", "shutdown": "AdminDown"}[p.Status]
	seconds := func(ms int) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
	interval := max(p.Receive, p.RemoteTransmit)
	w.open("bfd-session")
	w.leaf("session-neighbor", p.Peer)
	w.leaf("session-state", state)
	w.leaf("session-interface", logical)
	w.leaf("session-detection-time", seconds(interval*max(p.RemoteMultiplier, 1)))
	w.leaf("session-transmission-interval", seconds(p.Transmit))
	w.number("session-adaptive-multiplier", p.Multiplier)
	w.open("bfd-client")
	w.leaf("client-name", "BGP")
	w.leaf("client-transmission-interval", seconds(p.Transmit))
	w.leaf("client-reception-interval", seconds(p.Receive))
	w.close()
	w.leaf("local-diagnostic", strings.TrimSpace(p.Diagnostic))
	w.leaf("remote-diagnostic", strings.TrimSpace(p.RemoteDiagnostic))
	w.leaf("remote-state", state)
	w.leaf("session-type", "Single hop BFD")
	if p.Status == "up" {
		w.leaf("session-up-time", clock(secondsOf(p.Uptime)))
	} else {
		w.leaf("session-down-time", clock(secondsOf(p.Downtime)))
	}
	w.leaf("local-discriminator", fmt.Sprint(p.ID))
	w.leaf("remote-discriminator", fmt.Sprint(p.RemoteID))
	w.close()
}
