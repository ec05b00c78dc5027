package hostagent

import (
	"fmt"

	"lastmile/hostagent/bgp"
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
	// Communities are communities such as "65001:7", "64512:1:7" (large) or
	// "no-export", or several with spaces between them. The path carries all
	// that stand in one of the entries.
	Communities []rib.Tags `yaml:"communities"`
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

// matchesAll says that the rule has no condition.
func (r *ImportRule) matchesAll() bool {
	return len(r.Uplinks)+len(r.Prefixes)+len(r.Communities)+r.MaxASPath == 0
}

// table is what the configuration says of the table of routes.
func (c *Config) table() rib.Config {
	rules := make([]rib.Rule, len(c.Import))
	for i, r := range c.Import {
		rules[i] = rib.Rule{
			Links: r.Uplinks, Prefixes: r.Prefixes, Communities: r.Communities, MaxLength: r.MaxASPath,
			Reject: r.Reject, LocalPref: r.LocalPref,
		}
	}
	return rib.Config{AS: c.AS, AllowASIn: c.AllowASIn, AlwaysCompareMED: c.AlwaysCompareMED, Import: rules}
}

// routesOf puts what a leaf announces in the table's words. Routes that share
// their attributes share their path.
func routesOf(announced []bgp.Route) []rib.Route {
	routes := make([]rib.Route, len(announced))
	for i, r := range announced {
		routes[i].Prefix = r.Prefix
		if i > 0 && r.Attributes == announced[i-1].Attributes {
			routes[i].Path = routes[i-1].Path
			continue
		}
		routes[i].Path = &rib.Path{
			ASPath: r.ASPath, Sets: r.Sets, Length: r.Length, Origin: r.Origin, MED: r.MED, LocalPref: r.LocalPref,
			Communities: r.Communities, LargeCommunities: r.LargeCommunities,
		}
	}
	return routes
}
