package hostagent

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"lastmile/hostagent/bgp"
)

// SessionRule says how to speak with the leaves on some uplinks.
type SessionRule struct {
	// Uplinks are names or patterns, as in Config; left out, it is for all.
	Uplinks []string `yaml:"uplinks"`
	// RemoteAS lists the ASes that the leaf may be of. The word "external"
	// stands for any but our own.
	RemoteAS []string `yaml:"remote_as"`
	// MaxPrefixes is how many prefixes the leaf may announce; 0 for any number.
	MaxPrefixes *int `yaml:"max_prefixes"`
	// PasswordFile holds the key of TCP MD5 signatures (RFC 2385); none if left
	// out.
	PasswordFile *string `yaml:"password_file"`
	// TTLSecurity takes packets only with the TTL that they have on the link
	// (RFC 5082).
	TTLSecurity bool `yaml:"ttl_security"`
	// GracefulRestart keeps the routes of a leaf whose BGP restarts and that
	// forwards on (RFC 4724); true if left out.
	GracefulRestart *bool `yaml:"graceful_restart"`
	// DSCP marks what is sent to the leaf.
	DSCP *int `yaml:"dscp"`
	// UserTimeout is for how long the leaf may leave data unacknowledged; the
	// hold time if left out.
	UserTimeout *time.Duration `yaml:"user_timeout"`
}

const external = "external"

const (
	maxPrefixLimit = 1<<31 - 1
	maxUserTimeout = (1<<31 - 1) * time.Millisecond // the kernel's int of milliseconds
)

// validate is for a server of the AS own.
func (r *SessionRule) validate(key string, own uint32, report func(key, problem string)) {
	validateLinks(key+".uplinks", r.Uplinks, report)
	for i, s := range r.RemoteAS {
		if as, err := strconv.ParseUint(s, 10, 32); s != external && (err != nil || as == 0 || as == uint64(own)) {
			report(fmt.Sprintf("%s.remote_as[%d]", key, i),
				fmt.Sprintf("%q is not allowed: an AS number from 1 to 4294967295 other than our own, or the word %s for any but our own, is wanted", s, external))
		}
	}
	if m := r.MaxPrefixes; m != nil && (*m < 0 || *m > maxPrefixLimit) {
		report(key+".max_prefixes", fmt.Sprintf("%d is not allowed: 1 to %d, or 0 for any number", *m, maxPrefixLimit))
	}
	if r.PasswordFile != nil && *r.PasswordFile == "" {
		report(key+".password_file", `"" is not allowed: the path of a file is wanted; leave the key out for no TCP MD5`)
	}
	if r.DSCP != nil && (*r.DSCP < 0 || *r.DSCP > 63) {
		report(key+".dscp", fmt.Sprintf("%d is not allowed: 0 to 63", *r.DSCP))
	}
	if t := r.UserTimeout; t != nil && (*t < time.Second || *t > maxUserTimeout) {
		report(key+".user_timeout", fmt.Sprintf("%v is not allowed: 1s to %v; leave the key out for the hold time", *t, maxUserTimeout))
	}
}

// session returns what is said of the session on an uplink, by the first rule
// for it.
func (c *Config) session(link string) bgp.Options {
	options := bgp.DefaultOptions()
	i := slices.IndexFunc(c.Sessions, func(r SessionRule) bool {
		return len(r.Uplinks) == 0 || matches(r.Uplinks, link)
	})
	if i < 0 {
		return options
	}
	r := c.Sessions[i]
	if !slices.Contains(r.RemoteAS, external) {
		for _, s := range r.RemoteAS {
			as, _ := strconv.ParseUint(s, 10, 32) // Validate has seen it
			options.RemoteAS = append(options.RemoteAS, uint32(as))
		}
	}
	if r.MaxPrefixes != nil {
		options.MaxPrefixes = *r.MaxPrefixes
	}
	if r.GracefulRestart != nil {
		options.GracefulRestart = *r.GracefulRestart
	}
	if r.DSCP != nil {
		options.DSCP = uint8(*r.DSCP)
	}
	if r.PasswordFile != nil {
		options.PasswordFile = *r.PasswordFile
	}
	if r.UserTimeout != nil {
		options.UserTimeout = *r.UserTimeout
	}
	options.TTLSecurity = r.TTLSecurity
	return options
}
