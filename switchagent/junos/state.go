package junos

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Session is a BGP session of the switch, whoever configured it.
type Session struct {
	Peer  netip.Addr // with the logical interface as zone where Junos says it: from 21.1R1, not always
	State string     // Idle, Connect, Active, OpenSent, OpenConfirm or Established
	Flaps int        // how often it has gone down
	// Received and Accepted are how many prefixes of all families the peer has announced, and
	// how many of them the import policies have accepted. The switch keeps the others hidden.
	Received, Accepted int
}

// Established says that it is up. Down says less: a state in unknown words is neither.
func (s Session) Established() bool {
	return strings.EqualFold(s.State, "established") || strings.EqualFold(s.State, "establ")
}

// Down says that no routes flow. Of a state in words that are not known that is not known.
func (s Session) Down() bool {
	return slices.Contains([]string{"idle", "connect", "active", "opensent", "openconfirm"}, strings.ToLower(s.State))
}

// Sessions reads the BGP sessions (get-bgp-summary-information, "show bgp summary"). A switch
// where BGP does not run answers without a table: no sessions, no error.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	var sessions []Session
	_, err := c.call(ctx, netconf.Call{Body: "<get-bgp-summary-information/>", Elements: elements{
		"bgp-peer": func(decode func(any) error) error {
			var peer struct {
				Address text `xml:"peer-address"`
				State   text `xml:"peer-state"`
				Flaps   text `xml:"flap-count"`
				Tables  []struct {
					Received text `xml:"received-prefix-count"`
					Accepted text `xml:"accepted-prefix-count"`
				} `xml:"bgp-rib"`
			}
			err := decode(&peer)
			addr, ok := peer.Address.addr()
			if !ok {
				return err
			}
			s := Session{Peer: addr, State: string(peer.State), Flaps: peer.Flaps.number()}
			for _, table := range peer.Tables {
				s.Received += table.Received.number()
				s.Accepted += table.Accepted.number()
			}
			sessions = append(sessions, s)
			return err
		},
	}})
	if err != nil {
		return nil, err
	}
	return sessions, nil
}

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
