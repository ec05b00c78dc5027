package lab

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

// A bridgePort is one end of a cable with a bridge in its middle. It can lose
// all packets while both ends of the cable keep their carrier, or take the
// carrier of its end away, by one message to the kernel that is made beforehand.
type bridgePort struct {
	view  *kernelView
	index int
}

// The states of a bridge port and the attribute for them (linux/if_bridge.h,
// linux/if_link.h).
const (
	portDisabled   = 0
	portForwarding = 3
	brportState    = 1
)

// forward lets packets pass, or not. It returns the moment before.
func (p bridgePort) forward(on bool) (time.Time, error) {
	req := p.request(unix.AF_BRIDGE, 0)
	state := byte(portDisabled)
	if on {
		state = portForwarding
	}
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(brportState, []byte{state})
	req.AddData(info)
	return p.send(req)
}

// power takes the port up or down. It returns the moment before.
func (p bridgePort) power(on bool) (time.Time, error) {
	flags := uint32(0)
	if on {
		flags = unix.IFF_UP
	}
	return p.send(p.request(unix.AF_UNSPEC, flags))
}

func (p bridgePort) request(family int, flags uint32) *nl.NetlinkRequest {
	req := p.view.request(unix.RTM_SETLINK, unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(family)
	m.Index = int32(p.index)
	if family == unix.AF_UNSPEC {
		m.Flags, m.Change = flags, unix.IFF_UP
	}
	req.AddData(m)
	return req
}

func (p bridgePort) send(req *nl.NetlinkRequest) (time.Time, error) {
	at := time.Now()
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return at, fmt.Errorf("changing a bridge port: %w", err)
	}
	return at, nil
}

// A plug is one end of a cable.
type plug struct {
	ns   *netns.NS
	name string // of the interface
}

// bridgedCable joins a and b by a bridge in the namespace middle, and returns
// its port on a's side. Ports are named after the ends' interfaces.
func bridgedCable(a plug, middle *netns.NS, b plug) (bridgePort, error) {
	bridge := "br-" + a.name
	off := false
	err := middle.Do(func() error {
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}, MulticastSnooping: &off})
	})
	if err != nil {
		return bridgePort{}, fmt.Errorf("%s: adding bridge %s: %w", middle.Name, bridge, err)
	}
	err = errors.Join(netns.Veth(a.ns, a.name, middle, a.name), netns.Veth(b.ns, b.name, middle, b.name), middle.SetUp(bridge))
	if err != nil {
		return bridgePort{}, err
	}
	for _, port := range []string{a.name, b.name} {
		if err := enslave(middle, port, bridge); err != nil {
			return bridgePort{}, err
		}
	}
	view, err := newKernelView(middle)
	if err != nil {
		return bridgePort{}, err
	}
	index, err := linkIndex(middle, a.name)
	return bridgePort{view, index}, err
}

// enslave makes an interface a port of a bridge.
func enslave(ns *netns.NS, name, bridge string) error {
	err := ns.Do(func() error {
		port, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		master, err := netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(port, master)
	})
	if err != nil {
		return fmt.Errorf("%s: putting %s into %s: %w", ns.Name, name, bridge, err)
	}
	return nil
}

func linkIndex(ns *netns.NS, name string) (int, error) {
	var index int
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			index = ifi.Index
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: interface %s: %w", ns.Name, name, err)
	}
	return index, nil
}
