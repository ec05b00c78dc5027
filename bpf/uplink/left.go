package uplink

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// DetachLeft takes the programs off that a process has left which does not run any more, in this network namespace: of one
// interface, or of all if name is empty. It returns which. Dir is as in [Options]. It is an error if it cannot see what there
// is, or if a program of ours stays that has no pin here. A process that runs is [ErrRunning].
func DetachLeft(dir, name string) (names []string, err error) {
	h, err := Open(Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if h.pins == nil {
		return nil, fmt.Errorf("looking for what an earlier run has pinned: %w", h.unpinned)
	}
	if names, err = h.Names(); err != nil {
		return nil, err
	}
	defer os.Remove(h.pins.dir) // unless something is in it
	if name == "" {
		err = h.DetachAll()
	} else if slices.Contains(names, name) {
		names, err = []string{name}, h.Detach(name)
	} else {
		names = nil
	}
	if err == nil {
		err = strays(name)
	}
	if err == nil && name != "" && len(names) == 0 {
		err = fmt.Errorf("no program of ours is on %s", name)
	}
	return names, err
}

// strays is an error if a program of ours is on an interface, or on any if name is empty.
func strays(name string) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	var errs []error
	for _, l := range links {
		if name == "" || l.Attrs().Name == name {
			errs = append(errs, stray(l.Attrs()))
		}
	}
	return errors.Join(errs...)
}

func stray(l *netlink.LinkAttrs) error {
	var ids []ebpf.ProgramID
	if l.Xdp != nil && l.Xdp.ProgId != 0 {
		ids = append(ids, ebpf.ProgramID(l.Xdp.ProgId))
	}
	// A kernel without tcx has none of ours there.
	if tcx, err := link.QueryPrograms(link.QueryOptions{Target: l.Index, Attach: ebpf.AttachTCXIngress}); err == nil {
		for _, p := range tcx.Programs {
			ids = append(ids, p.ID)
		}
	}
	for _, id := range ids {
		name, err := programName(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return fmt.Errorf("program %d is on %s, and whose it is cannot be seen: %w", id, l.Name, err)
		}
		if ours(name) {
			return fmt.Errorf("our program %s is on %s, and its pin is not here: a hostagent that runs holds it, or it is pinned in another "+
				"mount namespace (`ip netns exec` makes one; use `nsenter --net`)", name, l.Name)
		}
	}
	return nil
}

func programName(id ebpf.ProgramID) (string, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	return info.Name, nil
}

func ours(name string) bool {
	return slices.ContainsFunc(slices.Concat(xdpVariants, tcxVariants), func(v variant) bool { return v.program == name })
}
