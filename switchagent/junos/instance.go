package junos

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lastmile/switchagent/netconf"
)

// showInstance is the operation that reads an instance with no lock. To read one with get-configuration
// "a client application must first open the ephemeral instance", which locks it, "the only supported
// attributes are format and key" then, and without that "the server returns the configuration data from the
// candidate configuration" (Junos XML Management Protocol Developer Guide, <get-configuration>). The command is
// "show ephemeral-configuration instance NAME" ("Enable and Configure Instances of the Ephemeral Configuration
// Database").
const showInstance = "show ephemeral-configuration instance "

// notOfInstance are statements that the static configuration has, or the candidate, and no instance of an
// agent: the release, what every switch must have to be logged in to, and what an instance may not
// have ("Unsupported Configuration Statements in the Ephemeral Configuration Database").
var notOfInstance = []string{"version", "system", "interfaces", "groups", "apply-groups", "chassis"}

// committedInstance reads what is committed in an instance. An answer that cannot be the instance's is an
// error: were the shared candidate taken for it, every link-local neighbour of the operator's would be ours.
func (c *Client) committedInstance(ctx context.Context, instance string) (bgpRead, error) {
	return c.readInstance(ctx, instance, `<command format="xml">`+showInstance+escape(instance)+"</command>")
}

// showOpen is the operation that reads the instance that this session has open.
const showOpen = `<get-configuration format="xml"/>`

func (c *Client) readInstance(ctx context.Context, instance, body string) (read bgpRead, err error) {
	var said text
	var strange []string
	_, err = c.call(ctx, netconf.Call{Body: body, Elements: elements{
		"configuration": func(decode func(any) error) error {
			var config bgpConfiguration
			err := decode(&config)
			config.read(&read)
			strange = append(strange, config.strange()...)
			return err
		},
		"output": func(decode func(any) error) error { return decode(&said) },
	}})
	switch {
	case err != nil:
	case said != "":
		err = fmt.Errorf("instance %s: the switch says %q in place of its configuration", instance, firstWords(string(said)))
	case len(strange) > 0:
		err = fmt.Errorf("instance %s: the switch answers with another configuration, or somebody works in this one: it has %s, which an agent's own instance never has",
			instance, strings.Join(strange, ", "))
	}
	if err != nil {
		return bgpRead{}, err
	}
	return read, nil
}

// strange is what no instance of an agent has.
func (c bgpConfiguration) strange() (names []string) {
	for _, e := range c.Others {
		if slices.Contains(notOfInstance, e.XMLName.Local) && !slices.Contains(names, e.XMLName.Local) {
			names = append(names, e.XMLName.Local)
		}
	}
	if slices.ContainsFunc(c.Protocols.BGP.Groups, func(g bgpGroup) bool { return g.Type.Text != "" }) {
		names = append(names, "a group type")
	}
	return names
}

// CheckInstance says whether the ephemeral instance is configured, and active. On some releases opening an
// instance that is not there succeeds silently, and what follows would be loaded into the shared
// candidate and committed with whatever an operator has left there.
func (c *Client) CheckInstance(ctx context.Context, instance string) error {
	found := &element{}
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml"><configuration><system>` +
			`<configuration-database/></system></configuration></get-configuration>`,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config element
			err := decode(&config)
			found.Children = append(found.Children, config.Children...)
			return err
		}},
	})
	if err != nil {
		return err
	}
	path, inactive := found.instance(instance)
	switch {
	case path == "":
		return fmt.Errorf("ephemeral instance %q is not configured, or this user may not see it: set system configuration-database ephemeral instance %s",
			instance, instance)
	case inactive != "":
		return fmt.Errorf("ephemeral instance %q is deactivated: activate %s", instance, inactive)
	}
	return nil
}

// instance finds the statement of an instance, and the highest statement on the way to it that is
// deactivated; both are "" if there is none.
func (e *element) instance(name string) (path, inactive string) {
	for _, level := range []string{"system", "configuration-database", "ephemeral", "instance"} {
		all := e.children(level)
		if level == "instance" {
			all = slices.DeleteFunc(all, func(i *element) bool { return i.key() != name })
			level += " " + name
		}
		if len(all) == 0 {
			return "", ""
		}
		e = all[0]
		path = strings.TrimSpace(path + " " + level)
		if inactive == "" && e.inactive() {
			inactive = path
		}
	}
	return path, inactive
}
