package uplink

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Mode says where on the interface the program is to sit.
type Mode string

const (
	// Auto takes the first of native and generic that works; on veth generic only, for there native costs bulk traffic
	// three quarters of its rate. If XDP does not work at all it takes tcx.
	Auto Mode = "auto"
	// Native is XDP in the driver.
	Native Mode = "native"
	// Generic is XDP in the kernel's core.
	Generic Mode = "generic"
	// TCX is behind packet capture: tcpdump sees a repaired frame twice, as it came and as it should have come, and the
	// interface's counters count it twice. Linux 6.6 and later.
	TCX Mode = "tcx"
	// Off is no program.
	Off Mode = "off"
)

// Modes are all there are.
func Modes() []Mode { return []Mode{Auto, Native, Generic, TCX, Off} }

// ParseMode reads a mode.
func ParseMode(s string) (Mode, error) {
	if m := Mode(s); slices.Contains(Modes(), m) {
		return m, nil
	}
	var names []string
	for _, m := range Modes() {
		names = append(names, string(m))
	}
	return "", fmt.Errorf("mode %q is not allowed: %s", s, strings.Join(names, ", "))
}

// places are where a program may sit, so that their names are those of pins.
var places = []Mode{Native, Generic, TCX}

// candidates are the places to try on an interface, the best first.
func (m Mode) candidates(driver string) []Mode {
	switch {
	case m != Auto:
		return []Mode{m}
	case driver == "veth":
		return []Mode{Generic, TCX}
	}
	return places
}

// driver is the name of the interface's driver, or empty where it has none to tell.
func driver(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}
