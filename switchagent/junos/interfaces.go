package junos

import (
	"context"
	"net/netip"
	"slices"

	"lastmile/switchagent/netconf"
)

// showInterfaces reads all of them, physical and logical ("show interfaces terse").
const showInterfaces = "<get-interface-information><terse/></get-interface-information>"

// Interface is a logical interface. An address in a form that is not understood is the zero Prefix:
// the interface has one, whatever it is.
type Interface struct {
	Down  bool // administratively, or without carrier
	Addrs []netip.Prefix
}

// Interfaces reads the logical interfaces.
func (c *Client) Interfaces(ctx context.Context) (map[string]Interface, error) {
	interfaces := map[string]Interface{}
	_, err := c.call(ctx, netconf.Call{Body: showInterfaces, Elements: elements{
		"logical-interface": func(decode func(any) error) error {
			var ifl struct {
				Name     text `xml:"name"`
				Admin    text `xml:"admin-status"`
				Oper     text `xml:"oper-status"`
				Families []struct {
					Name      text   `xml:"address-family-name"`
					Addresses []text `xml:"interface-address>ifa-local"`
				} `xml:"address-family"`
			}
			if err := decode(&ifl); err != nil {
				return err
			}
			one := interfaces[ifl.Name.logical()]
			one.Down = ifl.Admin == "down" || ifl.Oper == "down"
			for _, family := range ifl.Families {
				if family.Name != "inet" && family.Name != "inet6" {
					continue
				}
				for _, address := range family.Addresses {
					one.Addrs = append(one.Addrs, address.prefix())
				}
			}
			interfaces[ifl.Name.logical()] = one
			return nil
		},
	}})
	if err != nil {
		return nil, err
	}
	return interfaces, nil
}

// PhysicalInterfaces reads the names of the physical interfaces, in order.
func (c *Client) PhysicalInterfaces(ctx context.Context) ([]string, error) {
	var names []string
	_, err := c.call(ctx, netconf.Call{Body: showInterfaces, Elements: elements{
		"physical-interface": func(decode func(any) error) error {
			var ifd struct {
				Name text `xml:"name"`
			}
			err := decode(&ifd)
			names = append(names, string(ifd.Name))
			return err
		},
	}})
	slices.Sort(names)
	return slices.Compact(names), err
}

func (t text) prefix() netip.Prefix {
	if prefix, err := netip.ParsePrefix(string(t)); err == nil {
		return prefix
	}
	if addr, ok := t.addr(); ok {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
	}
	return netip.Prefix{}
}
