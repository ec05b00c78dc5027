package hostagent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lastmile/hostagent/bfd"
)

// BFDRule says how BFD is spoken on some uplinks.
type BFDRule struct {
	// Uplinks are names or patterns, as in Config; left out, it is for all.
	Uplinks []string `yaml:"uplinks"`
	// Enabled is true if left out.
	Enabled *bool `yaml:"enabled"`
	// Profile names what the leaf is, for timers that it can hold; one of
	// bfdProfiles.
	Profile string `yaml:"profile"`
	// TransmitInterval and ReceiveInterval are the shortest intervals of packets
	// that we send and want; the profile's if left out.
	TransmitInterval *time.Duration `yaml:"transmit_interval"`
	ReceiveInterval  *time.Duration `yaml:"receive_interval"`
	// DetectMultiplier is how many of our packets in a row the leaf is to miss; the
	// profile's if left out.
	DetectMultiplier *int `yaml:"detect_multiplier"`
	// Strict uses no path of a leaf while BFD with it is not up.
	Strict bool `yaml:"strict"`
}

// bfdProfile is what a kind of leaf can do.
type bfdProfile struct {
	timers   bfd.Timers
	shortest time.Duration // interval on link-local addresses
	why      string
}

const anyLeaf = "default"

// bfdProfiles are the leaves that are known. None of the limits but FRR's was
// measured.
var bfdProfiles = map[string]bfdProfile{
	anyLeaf: {bfdTimers(300 * time.Millisecond), 10 * time.Millisecond, "what hostagent itself can hold"},
	"frr":   {bfdTimers(300 * time.Millisecond), 10 * time.Millisecond, "FRR's bfdd takes no less"},
	"eos":   {bfdTimers(300 * time.Millisecond), 50 * time.Millisecond, "Arista EOS takes no less"},
	// Sessions on link-local addresses run on the routing engine (KB32391).
	"junos-re": {bfdTimers(300 * time.Millisecond), 100 * time.Millisecond, "Junos runs BFD on link-local addresses on the routing engine"},
	// The same, and in software: EX4600, QFX5000.
	"qfx5k": {bfdTimers(time.Second), time.Second, "QFX5000 and EX4600 run BFD on link-local addresses in software"},
}

func bfdTimers(interval time.Duration) bfd.Timers {
	return bfd.Timers{Transmit: interval, Receive: interval, Multiplier: 3}
}

func profileNames() string {
	var names []string
	for name := range bfdProfiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// profile returns the rule's profile; ok is false if there is none of that name.
func (r *BFDRule) profile() (p bfdProfile, ok bool) {
	if r.Profile == "" {
		return bfdProfiles[anyLeaf], true
	}
	p, ok = bfdProfiles[r.Profile]
	return p, ok
}

// timers returns what the rule and its profile say.
func (r *BFDRule) timers() bfd.Timers {
	p, _ := r.profile()
	t := p.timers
	if r.TransmitInterval != nil {
		t.Transmit = *r.TransmitInterval
	}
	if r.ReceiveInterval != nil {
		t.Receive = *r.ReceiveInterval
	}
	if r.DetectMultiplier != nil {
		t.Multiplier = uint8(*r.DetectMultiplier)
	}
	return t
}

func (r *BFDRule) enabled() bool { return r.Enabled == nil || *r.Enabled }

// worst is how long after a leaf's last packet it is called dead, if its timers
// are as ours.
func worst(t bfd.Timers) time.Duration { return bfd.DetectTime(t.Multiplier, t.Transmit, t.Receive) }

func (r *BFDRule) validate(key string, report func(key, problem string)) {
	validateLinks(key+".uplinks", r.Uplinks, report)
	p, ok := r.profile()
	if !ok {
		report(key+".profile", fmt.Sprintf("%q is not allowed: one of %s", r.Profile, profileNames()))
		p = bfdProfiles[anyLeaf]
	}
	for _, i := range []struct {
		key   string
		value *time.Duration
	}{{"transmit_interval", r.TransmitInterval}, {"receive_interval", r.ReceiveInterval}} {
		if i.value == nil {
			continue
		}
		if v := *i.value; v < p.shortest || v > time.Minute || v%time.Microsecond != 0 {
			report(key+"."+i.key, fmt.Sprintf("%v is not allowed: %v to 1m0s (%s)", v, p.shortest, p.why))
		}
	}
	if m := r.DetectMultiplier; m != nil && (*m < 1 || *m > 255) {
		report(key+".detect_multiplier", fmt.Sprintf("%d is not allowed: 1 to 255", *m))
	}
	if r.Strict && !r.enabled() {
		report(key+".strict", "not allowed beside enabled: false: no path would ever be used")
	}
}

// bfd returns what is said of BFD on an uplink, by the first rule for it.
func (c *Config) bfd(link string) BFDRule {
	for _, r := range c.BFD {
		if len(r.Uplinks) == 0 || matches(r.Uplinks, link) {
			return r
		}
	}
	return BFDRule{}
}
