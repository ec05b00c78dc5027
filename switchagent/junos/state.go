package junos

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"lastmile/switchagent/netconf"
)

// Interface is a logical interface. An address in a form that is not understood is the zero Prefix:
// the interface has one, whatever it is.
type Interface struct {
	Down  bool // administratively, or without carrier
	Addrs []netip.Prefix
}

// Interfaces reads the logical interfaces (get-interface-information terse, "show interfaces
// terse").
func (c *Client) Interfaces(ctx context.Context) (map[string]Interface, error) {
	interfaces := map[string]Interface{}
	_, err := c.call(ctx, netconf.Call{Body: "<get-interface-information><terse/></get-interface-information>", Elements: elements{
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

func (t text) prefix() netip.Prefix {
	if prefix, err := netip.ParsePrefix(string(t)); err == nil {
		return prefix
	}
	if addr, ok := t.addr(); ok {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
	}
	return netip.Prefix{}
}

// Facts is what the switch says about itself. Fields that it does not tell are zero.
type Facts struct {
	Host, Model, Version string
	Uptime               time.Duration // since its last boot, in whole seconds
}

// Facts reads get-software-information and get-system-uptime-information, and for what the first
// does not tell (12.x has no junos-version) get-system-information.
func (c *Client) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	err := c.firstTexts(ctx, "<get-software-information/>", map[string]*string{
		"host-name": &f.Host, "product-model": &f.Model, "junos-version": &f.Version,
	})
	if err == nil && f.Version == "" {
		err = c.firstTexts(ctx, "<get-system-information/>", map[string]*string{
			"host-name": &f.Host, "hardware-model": &f.Model, "os-version": &f.Version,
		})
	}
	if err == nil {
		f.Uptime, err = c.uptime(ctx)
	}
	return f, err
}

// firstTexts reads the first text of each element that is not yet known: routing engines answer
// one after the other.
func (c *Client) firstTexts(ctx context.Context, body string, into map[string]*string) error {
	wanted := elements{}
	for name, value := range into {
		wanted[name] = func(decode func(any) error) error {
			var t text
			err := decode(&t)
			if *value == "" {
				*value = string(t)
			}
			return err
		}
	}
	_, err := c.call(ctx, netconf.Call{Body: body, Elements: wanted})
	return optional(err)
}

func (c *Client) uptime(ctx context.Context) (time.Duration, error) {
	var uptime time.Duration
	_, err := c.call(ctx, netconf.Call{Body: "<get-system-uptime-information/>", Elements: elements{
		"system-booted-time": func(decode func(any) error) error {
			var booted struct {
				Length struct {
					Seconds string `xml:"seconds,attr"`
				} `xml:"time-length"`
			}
			err := decode(&booted)
			if seconds, parseErr := strconv.ParseUint(booted.Length.Seconds, 10, 31); parseErr == nil && uptime == 0 {
				uptime = time.Duration(seconds) * time.Second
			}
			return err
		},
	}})
	return uptime, optional(err)
}

// optional forgives a switch that refuses to tell something that is only nice to know.
func optional(err error) error {
	var refused *netconf.ReplyError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}
