package junos

import (
	"context"
	"errors"
	"strconv"
	"time"

	"lastmile/switchagent/netconf"
)

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

// Clock is what the switch's clock shows; the zero time if it does not tell.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	var now time.Time
	_, err := c.call(ctx, netconf.Call{Body: "<get-system-uptime-information/>", Elements: elements{
		"current-time": func(decode func(any) error) error {
			var current struct {
				Date struct {
					Seconds string `xml:"seconds,attr"`
				} `xml:"date-time"`
			}
			err := decode(&current)
			if s, parseErr := strconv.ParseInt(current.Date.Seconds, 10, 64); parseErr == nil && now.IsZero() {
				now = time.Unix(s, 0)
			}
			return err
		},
	}})
	return now, optional(err)
}

// optional forgives a switch that refuses to tell something that is only nice to know.
func optional(err error) error {
	var refused *netconf.ReplyError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}
