package uplink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// refused says which capability is missing where the kernel does not let us use BPF. The library's guess, too little locked
// memory, is right only before Linux 5.11 for who has the capability.
func refused(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	missing, unknown := missingCapabilities()
	if unknown != nil || missing == "" {
		return err
	}
	return fmt.Errorf("%w: %s is missing", unix.EPERM, missing)
}

// missingCapabilities are those that the calling thread lacks of the two without which no kernel lets us work. CAP_SYS_ADMIN
// stands in for CAP_BPF.
func missingCapabilities() (string, error) {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return "", fmt.Errorf("reading capabilities: %w", err)
	}
	has := func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	missing := ""
	if !has(unix.CAP_BPF) && !has(unix.CAP_SYS_ADMIN) {
		missing = "CAP_BPF"
	}
	if !has(unix.CAP_NET_ADMIN) {
		if missing != "" {
			missing += " and "
		}
		missing += "CAP_NET_ADMIN"
	}
	return missing, nil
}
