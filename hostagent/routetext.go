package hostagent

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes what FRR would, in its order and words.
func (r Route) WriteText(w io.Writer) error {
	best, used := "no best path", 0
	for i, p := range r.Paths {
		if p.Best != nil {
			best = fmt.Sprintf("best #%d", i+1)
		}
		if p.Best != nil || p.Multipath {
			used++
		}
	}
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	line("BGP routing table entry for %s", r.Prefix)
	line("Paths: (%d available, %s, %d used)", len(r.Paths), best, used)
	if r.Originated {
		line("  Local\n    announced by this server, which uses no leaf's path to it")
	}
	for _, p := range r.Paths {
		p.write(line)
	}
	r.Kernel.write(line)
	return errors.Join(errs...)
}

func (p *RoutePath) write(line func(format string, args ...any)) {
	path := p.ASPath.String
	if path == "" {
		path = "Local"
	}
	line("  %s", path)
	line("    %s from %s (%s)", p.NextHops[0].IP, p.Peer.PeerID, dash(p.Peer.RouterID))
	state := "valid, external"
	if p.Multipath {
		state += ", multipath"
	}
	if p.Best != nil {
		state += fmt.Sprintf(", best (%s)", p.Best.Reason)
	}
	line("      Origin %s, metric %d, localpref %d, %s", p.Origin, p.MED, p.LocalPref, state)
	if p.Community != nil {
		line("      Community: %s", p.Community.String)
	}
	if p.Large != nil {
		line("      Large Community: %s", p.Large.String)
	}
	switch {
	case p.Best != nil:
		line("      Best: %s", p.Why)
	case p.Reason != "":
		line("      Not used (%s): %s", p.Reason, p.Why)
	default:
		line("      Used: %s", p.Why)
	}
	if p.Peer.UptimeMsec > 0 {
		line("      Session up %s", (time.Duration(p.Peer.UptimeMsec) * time.Millisecond).Round(time.Second))
	}
}

func (k *KernelRoute) write(line func(format string, args ...any)) {
	var hops []string
	for _, h := range k.NextHops {
		hops = append(hops, h.IP+" dev "+h.Interface)
	}
	switch {
	case k.Installed:
		line("Kernel: installed, proto %d, metric %d, src %s, via %s", k.Protocol, k.Metric, dash(k.Source), strings.Join(hops, ", "))
	default:
		line("Kernel: no route of ours")
	}
	switch {
	case k.Error != "":
		line("Kernel: not as it should be, and tried again every second: %s", k.Error)
	case k.Queued:
		line("Kernel: not as it should be, and tried again every second")
	}
}
