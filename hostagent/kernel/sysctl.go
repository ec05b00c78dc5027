package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysctlDir shows the settings of the calling thread's network namespace.
const sysctlDir = "/proc/sys/net"

// setting is a kernel setting that hostagent needs. The key is the path below sysctlDir: a link's name may have dots.
type setting struct {
	key, value string
	optional   bool                  // not every kernel has it
	keep       func(old string) bool // values that serve as well
	restore    bool                  // on an orderly stop
}

// Sysctls are the kernel's settings, and what has to be restored of them.
type Sysctls struct {
	Plain bool              // routes name their next hops themselves
	old   map[string]string // of those set here and to be restored, by key
}

// Set sets what hostagent needs of the kernel, for all and for the uplinks, and returns a line "key: old -> new" for each
// setting that it changed. A setting that cannot be changed is an error that names it; the others are set all the same.
func (c *Sysctls) Set(uplinks []string) (changed []string, err error) {
	settings := []setting{
		// ECMP by addresses and ports, so that two sessions between the same hosts can take different links.
		{key: "ipv4/fib_multipath_hash_policy", value: "1"},
		{key: "ipv6/fib_multipath_hash_policy", value: "1"},
		// Else the kernel tells every listener of every route whenever a group changes: 0.4 s for 500 000 routes. It
		// holds for IPv6 too.
		{key: "ipv4/nexthop_compat_mode", value: "0", optional: true, restore: true},
	}
	var errs []error
	for _, link := range uplinks {
		if strings.ContainsRune(link, '/') || !filepath.IsLocal(link) {
			errs = append(errs, fmt.Errorf("setting up uplink %q: not the name of a link", link))
			continue
		}
		settings = append(settings, uplinkSettings(link)...)
		if c.Plain {
			settings = append(settings, plainSettings(link)...)
		}
	}
	others, err := unfilteredUplinks(uplinks)
	errs = append(errs, err)
	for _, s := range append(settings, others...) {
		old, err := s.apply()
		errs = append(errs, err)
		if old == "" {
			continue
		}
		changed = append(changed, fmt.Sprintf("%s: %s -> %s", sysctlName(s.key), old, s.value))
		if s.restore {
			c.remember(s.key, old)
		}
	}
	return changed, errors.Join(errs...)
}

// remember notes the value that the setting is to get back: the one that another gave it last.
func (c *Sysctls) remember(key, old string) {
	if c.old == nil {
		c.old = make(map[string]string)
	}
	c.old[key] = old
}

// Restore gives back what only our own routes need, nexthop_compat_mode, unless another has set it since. A run that was
// killed has not restored it, and the next one does not know of it: the setting then stays as it is.
func (c *Sysctls) Restore() error {
	var errs []error
	for key, old := range c.old {
		now, err := readSysctl(key)
		if err == nil && now == "0" {
			err = writeSysctl(key, old)
		}
		errs = append(errs, err)
	}
	c.old = nil
	return errors.Join(errs...)
}

// plainSettings have the kernel leave out next hops whose link has no carrier, where routes name them. Next-hop objects go
// with the carrier by themselves.
func plainSettings(link string) []setting {
	return []setting{
		{key: "ipv4/conf/" + link + "/ignore_routes_with_linkdown", value: "1"},
		{key: "ipv6/conf/" + link + "/ignore_routes_with_linkdown", value: "1"},
	}
}

func uplinkSettings(link string) []setting {
	conf := "ipv6/conf/" + link + "/"
	return []setting{
		// Reverse path filtering (RFC 3704) drops what comes in on another link than the answer would take, which ECMP
		// makes normal. Loose filtering is no help: on a link without an IPv4 address it drops the same
		// (__fib_validate_source in the kernel's net/ipv4/fib_frontend.c).
		{key: "ipv4/conf/" + link + "/rp_filter", value: "0"},
		// The leaf's advertisement tells us of the leaf, but the default route is BGP's to give, and
		// so are more specific ones (RFC 4191).
		{key: conf + "accept_ra_defrtr", value: "0"},
		{key: conf + "accept_ra_rt_info_max_plen", value: "0", optional: true},
		// The kernel's own solicitations would clear our router flag at the leaf: it is a host's word.
		{key: conf + "router_solicitations", value: "0"},
		// The link-local address can be used while duplicate address detection runs (RFC 4429), which takes one to two
		// seconds from carrier up. use_optimistic makes the kernel say so at once. A host that forwards does not do it.
		{key: conf + "optimistic_dad", value: "1", optional: true},
		{key: conf + "use_optimistic", value: "1", optional: true},
	}
}

// unfilteredUplinks makes the uplinks' own rp_filter count: the kernel takes the higher one of "all" and the link, so
// what "all" asks for goes to every other link, and to those to come, and "all" to 0. Only the uplinks are filtered less.
func unfilteredUplinks(uplinks []string) ([]setting, error) {
	const conf = "ipv4/conf/"
	all, err := readSysctl(conf + "all/rp_filter")
	if err != nil || all == "0" {
		return nil, err
	}
	links, err := os.ReadDir(filepath.Join(sysctlDir, conf))
	if err != nil {
		return nil, fmt.Errorf("listing the links that filter reverse paths: %w", err)
	}
	var settings []setting
	for _, link := range links {
		if link.Name() == "all" || slices.Contains(uplinks, link.Name()) {
			continue
		}
		settings = append(settings, setting{
			key: conf + link.Name() + "/rp_filter", value: all,
			optional: true, // the link may go at any time
			keep:     func(old string) bool { return old >= all },
		})
	}
	return append(settings, setting{key: conf + "all/rp_filter", value: "0"}), nil
}

// apply sets the value unless it is set already, which also serves where /proc/sys cannot be written. It returns the value
// that it changed, "" if it did not.
func (s setting) apply() (old string, err error) {
	old, err = readSysctl(s.key)
	if errors.Is(err, fs.ErrNotExist) && s.optional {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if old == s.value || (s.keep != nil && s.keep(old)) {
		return "", nil
	}
	if err := writeSysctl(s.key, s.value); err != nil {
		return "", fmt.Errorf("%w (it is %s)", err, old)
	}
	return old, nil
}

func writeSysctl(key, value string) error {
	if err := os.WriteFile(filepath.Join(sysctlDir, key), []byte(value), 0); err != nil {
		return fmt.Errorf("setting %s to %s: %w", sysctlName(key), value, err)
	}
	return nil
}

func readSysctl(key string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(sysctlDir, key))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", sysctlName(key), err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// sysctlName is the key as sysctl(8) writes it: with dots, and with slashes for the dots inside a link's name.
func sysctlName(key string) string {
	return "net." + strings.NewReplacer("/", ".", ".", "/").Replace(key)
}

// ipv6Disabled reports whether the link cannot have an IPv6 address.
func ipv6Disabled(link string) bool {
	value, err := readSysctl("ipv6/conf/" + link + "/disable_ipv6")
	return errors.Is(err, fs.ErrNotExist) || (err == nil && value == "1")
}
