package hostagent

import (
	"fmt"

	"lastmile/hostagent/rib"
)

// ImportRule is a step of the import policy. It matches an announcement that
// all its conditions match; one that is left out matches all.
type ImportRule struct {
	// Uplinks are names or patterns, as in Config, of those it comes in over.
	Uplinks []string `yaml:"uplinks"`
	// Prefixes are ranges such as "10.0.0.0/8 ge 24 le 32", one of which the
	// prefix is in.
	Prefixes []rib.Range `yaml:"prefixes"`
	// MaxASPath is how long the AS path may be, as the decision counts it; 0
	// for any length.
	MaxASPath int `yaml:"max_as_path"`
	// Reject rejects what matches.
	Reject bool `yaml:"reject"`
	// LocalPref is given to what is accepted; 100 if left out.
	LocalPref *uint32 `yaml:"local_pref"`
}

func (r *ImportRule) validate(key string, report func(key, problem string)) {
	validateLinks(key+".uplinks", r.Uplinks, report)
	if r.MaxASPath < 0 {
		report(key+".max_as_path", fmt.Sprintf("%d is not allowed: 1 or more, or 0 for any length", r.MaxASPath))
	}
	if r.Reject && r.LocalPref != nil {
		report(key+".local_pref", "not allowed beside reject: what is rejected has no local preference")
	}
}

// table is what the configuration says of the table of routes.
func (c *Config) table() rib.Config {
	rules := make([]rib.Rule, len(c.Import))
	for i, r := range c.Import {
		rules[i] = rib.Rule{Links: r.Uplinks, Prefixes: r.Prefixes, MaxLength: r.MaxASPath, Reject: r.Reject, LocalPref: r.LocalPref}
	}
	return rib.Config{AS: c.AS, AllowASIn: c.AllowASIn, AlwaysCompareMED: c.AlwaysCompareMED, Import: rules}
}
