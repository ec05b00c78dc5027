package switchagent

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"lastmile/switchagent/syslog"
)

// Syslog is the listener that is told of ports that come up.
type Syslog struct {
	// Listen is host:port, UDP and TCP; empty for none.
	Listen string `yaml:"listen"`
	// Allow are the addresses and prefixes that are listened to.
	Allow []string `yaml:"allow"`
}

func (s Syslog) validate(refuse func(key, value, wanted string)) {
	if s.Listen != "" {
		addr, err := netip.ParseAddrPort(s.Listen)
		if err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() || addr.Addr().IsMulticast() {
			refuse("syslog.listen", s.Listen, "address:port with an address of this machine, such as 127.0.0.1:5514 or the one towards the leaf's management,")
		}
		if len(s.Allow) == 0 {
			refuse("syslog.allow", "", "a list with the addresses that the leaf sends from")
		}
	}
	for i, text := range s.Allow {
		if _, err := parsePrefix(text); err != nil {
			refuse(fmt.Sprintf("syslog.allow[%d]", i), text, "an address or prefix such as 192.0.2.1 or 192.0.2.0/28")
		}
	}
}

// parsePrefix reads a prefix, or an address as the prefix of it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

const (
	// A kick is followed by polls at this interval for this long: between a link and the entry in the
	// neighbour table there is duplicate address detection (1 s) and the server's first words.
	kickEvery = 250 * time.Millisecond
	kickFor   = 5 * time.Second
	// kickBudget bounds the polls of kicks to as many at once, and one a second in the long run:
	// messages can be forged, and a port that flaps sends many.
	kickBudget = 60
)

// kicks is why to poll before it is time.
type kicks struct {
	heard  chan struct{} // has room for one: who looks sees all ports
	until  time.Time
	tokens float64
	filled time.Time
}

func newKicks() *kicks { return &kicks{heard: make(chan struct{}, 1), tokens: kickBudget} }

// kick is called by the listener.
func (k *kicks) kick() {
	select {
	case k.heard <- struct{}{}:
	default:
	}
}

// take takes the right to a poll out of turn.
func (k *kicks) take(now time.Time) bool {
	if !k.filled.IsZero() {
		k.tokens = min(kickBudget, k.tokens+now.Sub(k.filled).Seconds())
	}
	k.filled = now
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// again fires when the next poll after a kick is due; it is nil if none is.
func (k *kicks) again(now time.Time) <-chan time.Time {
	if !now.Before(k.until) {
		return nil
	}
	return time.After(kickEvery)
}

// next waits until it is time to poll, or early. It is false when ctx has ended, or the session has.
func (k *kicks) next(ctx context.Context, tick <-chan time.Time, lost <-chan struct{}) bool {
	for {
		select {
		case <-tick:
			return true
		case <-k.heard:
			k.until = time.Now().Add(kickFor)
			if k.take(time.Now()) {
				return true
			}
		case <-k.again(time.Now()):
			if k.take(time.Now()) {
				return true
			}
		case <-lost:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// listen starts the listener, if there is one. It ends with ctx.
func (a *Agent) listen(ctx context.Context) error {
	if a.cfg.Syslog.Listen == "" {
		return nil
	}
	s := &syslog.Server{
		Up: func(ifname string) {
			if a.cfg.mayTouchPort(ifname) {
				a.kicks.kick()
			}
		},
		Count: func(result string) { a.metrics.syslog.WithLabelValues(result).Inc() },
	}
	for _, text := range a.cfg.Syslog.Allow {
		prefix, err := parsePrefix(text)
		if err != nil {
			return fmt.Errorf("syslog.allow: %w", err)
		}
		s.Allow = append(s.Allow, prefix)
	}
	if err := s.Open(a.cfg.Syslog.Listen); err != nil {
		return err
	}
	a.syslogAt.Store(new(s.Addr()))
	a.log.Info("listening for syslog", "address", s.Addr())
	go s.Serve(ctx)
	return nil
}

// mayTouchPort says whether a message about an interface, physical or logical, is about one of ours.
func (c *Config) mayTouchPort(name string) bool {
	if c.mayTouch(name) {
		return true
	}
	for _, pattern := range c.Interfaces {
		physical, _, _ := strings.Cut(pattern, ".")
		if matched, _ := path.Match(physical, name); matched {
			return true
		}
	}
	return false
}
