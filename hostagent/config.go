package hostagent

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	bpf "lastmile/bpf/uplink"
	"lastmile/hostagent/bgp"
)

// Config is the daemon's configuration. The same one serves every server: what
// differs between them is the address on lo.
type Config struct {
	// AS is the server's autonomous system number; servers may share it.
	AS uint32 `yaml:"as"`
	// RouterID is the BGP identifier; by default the oldest IPv4 address on lo.
	RouterID netip.Addr `yaml:"router_id"`
	// Uplinks are the interfaces that lead to leaves: names or patterns (*, ?
	// and [...] as in path.Match).
	Uplinks []string `yaml:"uplinks"`
	// Announce lists the prefixes to announce. The word "loopback" stands for
	// every global address on lo, as they come and go.
	Announce []string `yaml:"announce"`
	// AllowASIn is how often AS may stand in the path of a route that is
	// accepted: 1 where servers share an AS.
	AllowASIn int `yaml:"allowas_in"`
	// AlwaysCompareMED compares the MED of paths from different neighbour ASes
	// too, not only of those from the same.
	AlwaysCompareMED bool `yaml:"always_compare_med"`
	// Import says which announcements of the leaves are accepted: the first
	// rule that matches one decides, what none matches is rejected. Without
	// rules everything is accepted.
	Import []ImportRule `yaml:"import"`
	// Sessions says how to speak with the leaves: the first rule for an uplink
	// counts.
	Sessions []SessionRule `yaml:"sessions"`
	// BFD says how BFD is spoken with the leaves: the first rule for an uplink
	// counts; without one, by the defaults.
	BFD []BFDRule `yaml:"bfd"`
	// BFDWatchdog is "auto" for a watchdog in the kernel where the program is on
	// the uplinks that repairs frames, "on" without the repair too, or "off".
	BFDWatchdog string `yaml:"bfd_watchdog"`
	// ReturnDelay is how long after its session came up the routes of a leaf that
	// sends no End-of-RIB are taken for complete. Until they are, a leaf is used
	// only for what no other leaf has.
	ReturnDelay time.Duration `yaml:"return_delay"`
	// HoldTime is the BGP hold time that is offered (RFC 4271 4.2).
	HoldTime time.Duration `yaml:"hold_time"`
	// RestartWait is how long after a start the routes of an earlier run stay
	// without being confirmed by the leaves.
	RestartWait time.Duration `yaml:"restart_wait"`
	// RestartTime is for how long the leaves are asked to keep the routes to us
	// when hostagent is gone without a word (RFC 4724); 0 for not at all.
	RestartTime time.Duration `yaml:"restart_time"`
	// KeepRoutesOnStop leaves the routes in the kernel on an orderly stop.
	KeepRoutesOnStop bool `yaml:"keep_routes_on_stop"`
	// NextHopObjects is "auto", or "off" for routes without them.
	NextHopObjects string `yaml:"next_hop_objects"`
	// ResilientECMP has flows keep their leaf when another one goes.
	ResilientECMP ResilientECMP `yaml:"resilient_ecmp"`
	// Repair is about frames that leaves send with the wrong EtherType.
	Repair RepairConfig `yaml:"repair"`
	// Listen is the TCP address of /metrics and /healthz; empty for none.
	Listen string `yaml:"listen"`
	// Socket is the path of the unix socket that `hostagent show` asks.
	Socket string `yaml:"socket"`
}

// DefaultConfig is the configuration of an empty file.
func DefaultConfig() Config {
	return Config{
		Announce:  []string{loopback},
		AllowASIn: 1,
		HoldTime:  9 * time.Second,

		BFDWatchdog: watchdogAuto,
		ReturnDelay: 5 * time.Second,

		RestartWait:    30 * time.Second,
		RestartTime:    30 * time.Second,
		NextHopObjects: objectsAuto,
		ResilientECMP:  ResilientECMP{IdleTimer: 120 * time.Second},
		Repair:         RepairConfig{Mode: string(bpf.Auto)},

		Listen: "127.0.0.1:9474",
		Socket: "/run/hostagent/hostagent.sock",
	}
}

// loopback stands for the addresses on lo in Config.Announce.
const loopback = "loopback"

// Validate reports every value that is not allowed, by its key.
func (c *Config) Validate(report func(key, problem string)) {
	// RFC 7607: 0 is reserved. RFC 7300: so are the last of both ranges.
	// RFC 6793: 23456 stands for numbers that do not fit.
	if c.AS == 0 {
		report("as", "missing; 1 to 4294967294 without 23456 and 65535 is wanted")
	} else if reserved := []uint32{23456, 65535, 4294967295}; slices.Contains(reserved, c.AS) {
		report("as", fmt.Sprintf("%d is not allowed: 1 to 4294967294 without 23456 and 65535", c.AS))
	}
	if c.RouterID.IsValid() && (!c.RouterID.Is4() || c.RouterID.IsUnspecified()) {
		report("router_id", fmt.Sprintf("%q is not allowed: an IPv4 address is wanted, not 0.0.0.0", c.RouterID))
	}
	if len(c.Uplinks) == 0 {
		report("uplinks", `missing; interface names or patterns are wanted, such as ["eth*"]`)
	}
	validateLinks("uplinks", c.Uplinks, report)
	for i, s := range c.Announce {
		if problem := announceProblem(s); problem != "" {
			report(fmt.Sprintf("announce[%d]", i), problem)
		}
	}
	if c.AllowASIn < 0 || c.AllowASIn > 10 {
		report("allowas_in", fmt.Sprintf("%d is not allowed: 0 to 10", c.AllowASIn))
	}
	c.validateRules(report)
	c.validateWatchdog(report)
	if c.ReturnDelay < 0 || c.ReturnDelay > maxReturnDelay {
		report("return_delay", fmt.Sprintf("%v is not allowed: 0s to %v", c.ReturnDelay, maxReturnDelay))
	}
	if c.HoldTime < 3*time.Second || c.HoldTime > 65535*time.Second || c.HoldTime%time.Second != 0 {
		report("hold_time", fmt.Sprintf("%v is not allowed: whole seconds from 3s to 65535s", c.HoldTime))
	}
	if c.RestartTime < 0 || c.RestartTime > bgp.MaxRestartTime || c.RestartTime%time.Second != 0 {
		report("restart_time", fmt.Sprintf("%v is not allowed: whole seconds up to %v, or 0s for not at all", c.RestartTime, bgp.MaxRestartTime))
	}
	c.validateKernel(report)
	c.Repair.validate(report)
	if c.Socket == "" {
		report("socket", "missing; the path of a unix socket is wanted")
	}
	if _, port, err := net.SplitHostPort(c.Listen); c.Listen != "" && (err != nil || !isPort(port)) {
		report("listen", fmt.Sprintf("%q is not allowed: host:port with a port from 1 to 65535, such as 127.0.0.1:9474, or nothing for nowhere", c.Listen))
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// validateRules reports what is wrong with a rule, and those of which nothing
// ever comes, as of the rules for an uplink or a route the first decides.
func (c *Config) validateRules(report func(key, problem string)) {
	unused := func(list string, n int, all func(i int) bool) {
		for i := range n {
			if !all(i) {
				continue
			}
			for later := i + 1; later < n; later++ {
				report(fmt.Sprintf("%s[%d]", list, later), fmt.Sprintf("never used: %s[%d] is for all, and the first that matches counts; put it last", list, i))
			}
			return
		}
	}
	for i, r := range c.Import {
		r.validate(fmt.Sprintf("import[%d]", i), report)
	}
	unused("import", len(c.Import), func(i int) bool { return c.Import[i].matchesAll() })
	for i, r := range c.Sessions {
		r.validate(fmt.Sprintf("sessions[%d]", i), c.AS, report)
	}
	unused("sessions", len(c.Sessions), func(i int) bool { return len(c.Sessions[i].Uplinks) == 0 })
	for i, r := range c.BFD {
		r.validate(fmt.Sprintf("bfd[%d]", i), report)
	}
	unused("bfd", len(c.BFD), func(i int) bool { return len(c.BFD[i].Uplinks) == 0 })
}

// validateLinks reports what cannot be an interface or a pattern of several.
func validateLinks(key string, links []string, report func(key, problem string)) {
	for i, p := range links {
		if _, err := path.Match(p, ""); err != nil || p == "" || p == "lo" {
			report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is not allowed: an interface name other than lo, or a pattern with * ? [...], is wanted", p))
		}
	}
}

func announceProblem(s string) string {
	if s == loopback {
		return ""
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not allowed: a prefix such as 10.0.1.1/32, or the word loopback, is wanted", s)
	case p != p.Masked():
		return fmt.Sprintf("%q is not allowed: bits are set behind the prefix; %s?", s, p.Masked())
	case p.Addr().Is4In6(), p.Addr().IsLinkLocalUnicast(), p.Addr().IsMulticast(), p.Addr().IsLoopback():
		return fmt.Sprintf("%q is not allowed: a global unicast prefix is wanted", s)
	}
	return ""
}

// isUplink says whether the interface name is meant by Uplinks.
func (c *Config) isUplink(name string) bool {
	return name != "lo" && matches(c.Uplinks, name)
}

// matches says whether the interface name is meant by one of the names or
// patterns.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// named returns the uplinks that are given by name, without patterns: those
// whose absence is a fault.
func (c *Config) named() []string {
	var names []string
	for _, p := range c.Uplinks {
		if !strings.ContainsAny(p, `*?[\`) {
			names = append(names, p)
		}
	}
	return names
}

// announced returns the prefixes to announce, sorted and each once, given the
// addresses on lo.
func (c *Config) announced(onLoopback []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range c.Announce {
		if s == loopback {
			all = append(all, onLoopback...)
		} else if p, err := netip.ParsePrefix(s); err == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
