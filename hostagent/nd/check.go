package nd

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Check says why no router can be discovered on any link: the error names what
// is missing.
func Check() error {
	c, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	switch {
	case err == nil:
		return c.Close()
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("router discovery needs the capability CAP_NET_RAW: %w", err)
	case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("router discovery needs IPv6, which this kernel has disabled: %w", err)
	default:
		return fmt.Errorf("opening a socket for router discovery: %w", err)
	}
}
