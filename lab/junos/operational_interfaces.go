package junos

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// A port is one logical interface as the kernel has it.
type port struct {
	logical   string
	link      *netlink.LinkAttrs
	addresses []netlink.Addr
}

// ports reads the mapped interfaces that exist, by name.
func (d *Device) ports() (ports []port, err error) {
	if d.cfg.World != nil {
		return d.cfg.World.interfaces(), nil
	}
	err = d.in(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return fmt.Errorf("listing links: %w", err)
		}
		for _, l := range links {
			logical, mapped := d.names.logical(l.Attrs().Name)
			if !mapped {
				continue
			}
			addresses, err := netlink.AddrList(l, netlink.FAMILY_ALL)
			if err != nil {
				return fmt.Errorf("listing addresses of %s: %w", l.Attrs().Name, err)
			}
			ports = append(ports, port{logical, l.Attrs(), addresses})
		}
		return nil
	})
	slices.SortFunc(ports, func(a, b port) int { return cmp.Compare(a.logical, b.logical) })
	return ports, err
}

func (s *session) interfaces(_ context.Context, request *element, w *writer) error {
	ports, err := s.device.ports()
	if err != nil {
		return err
	}
	name := request.value("interface-name")
	if name != "" {
		ports = slices.DeleteFunc(ports, func(p port) bool {
			return p.logical != name && physical(p.logical) != name
		})
		if len(ports) == 0 {
			return &rpcError{severity: "error", message: "device " + name + " not found"}
		}
	}
	terse := request.has("terse")
	style := "normal"
	if terse {
		style = "terse"
	}
	w.payload("interface-information", "interface", "junos:style", style)
	onlyUnit := strings.Contains(name, ".")
	for len(ports) > 0 {
		unit := 1
		for unit < len(ports) && physical(ports[unit].logical) == physical(ports[0].logical) {
			unit++
		}
		writePhysical(w, ports[:unit], terse, onlyUnit)
		if err := w.spill(); err != nil {
			return err
		}
		ports = ports[unit:]
	}
	w.close()
	return nil
}

// writePhysical writes the units of one physical interface, with it around
// them unless one unit was asked for.
func writePhysical(w *writer, units []port, terse, onlyUnit bool) {
	if !onlyUnit {
		link := units[0].link
		w.open("physical-interface")
		w.leaf("name", physical(units[0].logical))
		w.leaf("admin-status", adminStatus(link))
		w.leaf("oper-status", operStatus(link))
		if !terse {
			w.number("snmp-index", 500+link.Index)
			w.number("mtu", link.MTU)
			if len(link.HardwareAddr) > 0 {
				w.leaf("current-physical-address", link.HardwareAddr.String())
				w.leaf("hardware-physical-address", link.HardwareAddr.String())
			}
		}
		defer w.close()
	}
	for _, p := range units {
		w.open("logical-interface")
		w.leaf("name", p.logical)
		if terse {
			w.leaf("admin-status", adminStatus(p.link))
			w.leaf("oper-status", operStatus(p.link))
		}
		writeAddresses(w, p, "inet", terse)
		writeAddresses(w, p, "inet6", terse)
		w.close()
	}
}

func writeAddresses(w *writer, p port, family string, terse bool) {
	var mine []*net.IPNet
	for _, a := range p.addresses {
		if (a.IP.To4() != nil) == (family == "inet") {
			mine = append(mine, a.IPNet)
		}
	}
	if len(mine) == 0 {
		return
	}
	w.open("address-family")
	w.leaf("address-family-name", family)
	for _, a := range mine {
		w.open("interface-address")
		if terse {
			w.leaf("ifa-local", a.String(), "junos:emit", "emit")
		} else {
			network := net.IPNet{IP: a.IP.Mask(a.Mask), Mask: a.Mask}
			w.leaf("ifa-destination", network.String())
			w.leaf("ifa-local", a.IP.String())
		}
		w.close()
	}
	w.close()
}

func adminStatus(l *netlink.LinkAttrs) string {
	if l.Flags&net.FlagUp != 0 {
		return "up"
	}
	return "down"
}

func operStatus(l *netlink.LinkAttrs) string {
	if l.OperState == netlink.OperUp || l.OperState == netlink.OperUnknown && l.Flags&net.FlagUp != 0 {
		return "up"
	}
	return "down"
}
