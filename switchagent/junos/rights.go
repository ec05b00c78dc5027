package junos

import (
	"context"
	"encoding/xml"

	"lastmile/switchagent/netconf"
)

// TryChange finds out whether this user may do what a commit does, without one: it opens the
// database, loads one neighbour and throws it away. Only databases are tried where that is nobody
// else's matter, not the shared candidate. The instance must be known to be configured.
func (c *Client) TryChange(ctx context.Context, o Options, s Stanza) error {
	open := openPrivate
	switch o.Kind {
	case Shared:
		return nil
	case Ephemeral:
		if err := c.CheckInstance(ctx, o.Instance); err != nil {
			return err
		}
		open = openEphemeral(o.Instance)
	}
	load, err := Change{Add: []Stanza{s}}.load(LoadMerge, false)
	if err != nil {
		return err
	}
	_, err = c.opened(ctx, open, func() (Outcome, error) { return Refused, c.loadOpen(ctx, load) })
	return err
}

// LoginClass is the class of a user of the committed configuration; "" if there is no such user there,
// or this one may not see it.
func (c *Client) LoginClass(ctx context.Context, user string) (string, error) {
	config := &element{XMLName: xml.Name{Local: "configuration"}}
	way := Command{way: []hop{{name: "system"}, {name: "login"}, {name: "user", keyName: "name", key: user}}}
	way.write(config, LoadMerge)
	filter, err := xml.Marshal(config)
	if err != nil {
		return "", err
	}
	class := ""
	_, err = c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml">` + string(filter) + `</get-configuration>`,
		Elements: elements{"user": func(decode func(any) error) error {
			var u struct {
				Name  text `xml:"name"`
				Class text `xml:"class"`
			}
			err := decode(&u)
			if string(u.Name) == user {
				class = string(u.Class)
			}
			return err
		}},
	})
	return class, err
}
