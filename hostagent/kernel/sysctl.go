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
}

// Sysctls sets what hostagent needs of the kernel, for all and for the uplinks, and returns a line "key: old -> new" for
// each setting that it changed. A setting that cannot be changed is an error that names it; the others are set all the same.
func Sysctls(uplinks []string) (changed []string, err error) {
	settings := []setting{
		// ECMP by addresses and ports, so that two sessions between the same hosts can take different links.
		{key: "ipv4/fib_multipath_hash_policy", value: "1"},
		{key: "ipv6/fib_multipath_hash_policy", value: "1"},
		// Else the kernel tells every listener of every route whenever a group changes: 0.4 s for 500 000 routes. It
		// holds for IPv6 too.
		{key: "ipv4/nexthop_compat_mode", value: "0", optional: true},
	}
	var errs []error
	for _, link := range uplinks {
		if strings.ContainsRune(link, '/') || !filepath.IsLocal(link) {
			errs = append(errs, fmt.Errorf("setting up uplink %q: not the name of a link", link))
			continue
		}
		perLink, err := uplinkSettings(link)
		settings = append(settings, perLink...)
		errs = append(errs, err)
	}
	for _, s := range settings {
		line, err := s.apply()
		if line != "" {
			changed = append(changed, line)
		}
		errs = append(errs, err)
	}
	return changed, errors.Join(errs...)
}

func uplinkSettings(link string) ([]setting, error) {
	settings, err := unfiltered(link)
	if err != nil {
		return nil, err
	}
	conf := "ipv6/conf/" + link + "/"
	return append(settings,
		// The leaf's advertisement tells us of the leaf, but the default route is BGP's to give, and
		// so are more specific ones (RFC 4191).
		setting{key: conf + "accept_ra_defrtr", value: "0"},
		setting{key: conf + "accept_ra_rt_info_max_plen", value: "0", optional: true},
		// The link-local address can be used while duplicate address detection runs (RFC 4429), which takes one to two
		// seconds from carrier up. use_optimistic makes the kernel say so at once. A host that forwards does not do it.
		setting{key: conf + "optimistic_dad", value: "1", optional: true},
		setting{key: conf + "use_optimistic", value: "1", optional: true},
	), nil
}

// unfiltered turns reverse path filtering (RFC 3704) off on the link. Strict, it drops what comes in on another link than
// the answer would take, which ECMP makes normal; loose does the same on a link without an IPv4 address (no_addr in the
// kernel's __fib_validate_source). The kernel takes the higher of "all" and the link's own value, so what "all" has goes to
// the other links, and to "default" for those to come: none of them is filtered less than before.
func unfiltered(link string) ([]setting, error) {
	key := func(link string) string { return "ipv4/conf/" + link + "/rp_filter" }
	all, err := readSysctl(key("all"))
	if err != nil {
		return nil, err
	}
	off := []setting{{key: key(link), value: "0"}}
	if all == "0" {
		return off, nil
	}
	others, err := os.ReadDir(filepath.Join(sysctlDir, "ipv4/conf"))
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	var settings []setting
	for _, other := range others {
		if name := other.Name(); name != "all" && name != link {
			least := func(old string) bool { return old >= all } // one digit each
			settings = append(settings, setting{key: key(name), value: all, optional: true, keep: least})
		}
	}
	return slices.Concat(settings, []setting{{key: key("all"), value: "0"}}, off), nil
}

// apply sets the value unless it is set already, which also serves where /proc/sys cannot be written.
func (s setting) apply() (line string, err error) {
	old, err := readSysctl(s.key)
	if errors.Is(err, fs.ErrNotExist) && s.optional {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if old == s.value || (s.keep != nil && s.keep(old)) {
		return "", nil
	}
	if err := os.WriteFile(filepath.Join(sysctlDir, s.key), []byte(s.value), 0); err != nil {
		return "", fmt.Errorf("setting %s to %s (it is %s): %w", sysctlName(s.key), s.value, old, err)
	}
	return fmt.Sprintf("%s: %s -> %s", sysctlName(s.key), old, s.value), nil
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
