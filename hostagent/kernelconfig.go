package hostagent

import (
	"fmt"
	"time"

	"lastmile/hostagent/kernel"
)

// The values of Config.NextHopObjects.
const (
	objectsAuto = "auto"
	objectsOff  = "off"
)

// ResilientECMP says how flows are spread over the leaves: by buckets that keep
// their leaf, if Buckets is not 0.
type ResilientECMP struct {
	// Buckets is how many there are, shared by the leaves of a route.
	Buckets int `yaml:"buckets"`
	// IdleTimer is how long a bucket is without a packet before it may move to a
	// leaf that has come back.
	IdleTimer time.Duration `yaml:"idle_timer"`
	// UnbalancedTimer is after how long buckets move whether idle or not; 0 for
	// never.
	UnbalancedTimer time.Duration `yaml:"unbalanced_timer"`
}

const (
	maxBuckets    = 65535 // the kernel's field has 16 bits
	maxGroupTimer = 24 * time.Hour
	maxRestart    = time.Hour
)

func (c *Config) validateKernel(report func(key, problem string)) {
	duration := func(key string, d, most time.Duration) {
		if d < 0 || d > most {
			report(key, fmt.Sprintf("%v is not allowed: 0s to %v", d, most))
		}
	}
	duration("restart_wait", c.RestartWait, maxRestart)
	if c.NextHopObjects != objectsAuto && c.NextHopObjects != objectsOff {
		report("next_hop_objects", fmt.Sprintf("%q is not allowed: auto or off", c.NextHopObjects))
	}
	r := c.ResilientECMP
	if r.Buckets < 0 || r.Buckets > maxBuckets {
		report("resilient_ecmp.buckets", fmt.Sprintf("%d is not allowed: 1 to %d, or 0 for hashing without buckets", r.Buckets, maxBuckets))
	}
	if r.Buckets > 0 && c.NextHopObjects == objectsOff {
		report("resilient_ecmp.buckets", "not allowed beside next_hop_objects: off, which it needs")
	}
	duration("resilient_ecmp.idle_timer", r.IdleTimer, maxGroupTimer)
	duration("resilient_ecmp.unbalanced_timer", r.UnbalancedTimer, maxGroupTimer)
}

// fib is what the configuration says of the kernel's routes.
func (c *Config) fib() kernel.Options {
	r := c.ResilientECMP
	return kernel.Options{
		NoObjects: c.NextHopObjects == objectsOff,
		Resilient: kernel.Resilient{Buckets: uint16(r.Buckets), Idle: r.IdleTimer, Unbalanced: r.UnbalancedTimer},
	}
}
