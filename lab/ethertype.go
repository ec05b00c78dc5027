package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lastmile/bpf/etherfault"
	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// etherTypeFault is the word for the fault of a Junos leaf that is not in the simulated Junos: IPv4 packets of the leaf's own
// leave its ports to servers marked as IPv6. It is on from the start.
const etherTypeFault = "ethertype"

// mistype switches the fault on or off.
func (f *Fabric) mistype(leaf Node, on bool) error {
	do := etherfault.Off
	if on {
		do = etherfault.On
	}
	for _, p := range f.Topology.PortsTo(leaf.Name, Server) {
		if err := f.spaces[leaf.Name].Do(func() error { return do(p.Interface) }); err != nil {
			return fmt.Errorf("%s: %w", leaf.Name, err)
		}
	}
	return nil
}

// mistypes says whether the fault is on, on any port.
func (f *Fabric) mistypes(leaf Node) (on bool, err error) {
	for _, p := range f.Topology.PortsTo(leaf.Name, Server) {
		err = errors.Join(err, f.spaces[leaf.Name].Do(func() error {
			has, err := etherfault.Has(p.Interface)
			on = on || has
			return err
		}))
	}
	return on, err
}

// etherType takes what follows the fault's name on the command line, and returns what there is to show.
func (f *Fabric) etherType(node, what string) (string, error) {
	n, ok := f.Topology.Node(node)
	if !ok || n.Kind != LeafJunos {
		return "", fmt.Errorf("%s is no Junos leaf", node)
	}
	switch what {
	case "on", "off":
		if err := f.mistype(n, what == "on"); err != nil {
			return "", err
		}
	case "":
	default:
		return "", fmt.Errorf("%s %q is not allowed: on, off, or nothing to see which", etherTypeFault, what)
	}
	on, err := f.mistypes(n)
	if err != nil {
		return "", err
	}
	if on {
		return "on: IPv4 packets of " + node + "'s own go to the servers marked as IPv6\n", nil
	}
	return "off\n", nil
}

// cutEtherType returns what follows the fault's name in a command, if it is about this fault.
func cutEtherType(command string) (what string, ok bool) {
	first, what, _ := strings.Cut(command, " ")
	return strings.TrimSpace(what), first == etherTypeFault
}

// unpin deletes a namespace with what hostagent has pinned for it: the next one may get its number.
func unpin(ns *netns.NS) error {
	var pins string
	err := ns.Do(func() (err error) { pins, err = uplink.PinsHere(); return err })
	if errors.Is(err, unix.EINVAL) {
		err = nil // a bare file, see Delete; nothing ever ran there
	}
	if err := errors.Join(err, ns.Delete()); err != nil || pins == "" {
		return err
	}
	return os.RemoveAll(pins)
}
