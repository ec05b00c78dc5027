// Package etherfault gives an interface the fault that [lastmile/bpf/etherfix] repairs: IPv4 packets of this machine's own
// leave it marked as IPv6, those in transit do not. It is for the lab and for tests.
package etherfault

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

//go:generate go tool bpf2go -cc clang-14 -tags linux -target bpfel,bpfeb -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -Wno-unused-function -mcpu=v3" object ../etherfault.bpf.c

// filterName is how `tc filter` shows it.
const filterName = "etherfault"

// On gives the interface of that name the fault, in the network namespace of the calling thread. It stays until [Off], or
// until the interface goes; no process needs to keep it up. Giving it twice changes nothing.
func On(name string) error {
	if err := on(name); err != nil {
		return fmt.Errorf("having %s mark IPv4 as IPv6: %w", name, err)
	}
	return nil
}

func on(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	var objects objectObjects
	if err := loadObjectObjects(&objects, nil); err != nil {
		return err
	}
	defer objects.Close()
	if err := netlink.QdiscReplace(qdisc(l)); err != nil {
		return fmt.Errorf("adding a clsact qdisc: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index,
			Parent:    netlink.HANDLE_MIN_EGRESS,
			Handle:    1,
			Priority:  1,
			Protocol:  unix.ETH_P_ALL,
		},
		Fd:           objects.Etherfault.FD(),
		Name:         filterName,
		DirectAction: true,
	}
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("adding the filter: %w", err)
	}
	return nil
}

// Off takes the fault away, and with it everything else that tc does at this interface's egress and ingress. Without the
// fault it changes nothing.
func Off(name string) error {
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.QdiscDel(qdisc(l))
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("having %s mark IPv4 right: %w", name, err)
	}
	return nil
}

// Has says whether the interface has the fault.
func Has(name string) (bool, error) {
	l, err := netlink.LinkByName(name)
	var filters []netlink.Filter
	if err == nil {
		filters, err = netlink.FilterList(l, netlink.HANDLE_MIN_EGRESS)
	}
	if err != nil {
		return false, fmt.Errorf("listing the filters of %s: %w", name, err)
	}
	return slices.ContainsFunc(filters, func(f netlink.Filter) bool {
		b, ok := f.(*netlink.BpfFilter)
		return ok && b.Name == filterName
	}), nil
}

func qdisc(l netlink.Link) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
}
