package switchagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lastmile/switchagent/bootstrap"
	"lastmile/switchagent/junos"
)

// tryPeer is nobody's address. It is loaded and thrown away.
var tryPeer = netip.MustParseAddr("fe80::1a57:311e")

// A right is something that the leaf may refuse to the agent's user, with a stanza that takes it.
type right struct {
	what   string
	stanza junos.Stanza
	mend   []string // of the class
}

// rights loads what will be committed, and throws it away: a neighbour alone, then one with a policy and
// one with a key, where the inventory asks for these, so that what is refused is known by name.
func (d *doctor) rights(ctx context.Context) {
	if d.cfg.Transport == transportCLI {
		d.add("rights", StatusWarning, "transport: cli only reads, nothing is committed", "set system services netconf ssh")
		return
	}
	if last := d.found[len(d.found)-1]; last.Check == "instance" && last.Status == StatusFault {
		d.add("rights", StatusSkipped, "")
		return
	}
	if d.cfg.Database == junos.Shared { // a try would take the lock of the candidate, and edit it
		d.add("rights", StatusOK, "not tried in database: shared")
		return
	}
	done := ""
	for _, r := range d.neededRights(ctx) {
		err := d.client.TryChange(ctx, d.cfg.database(), r.stanza)
		if errors.Is(err, junos.ErrLocked) || errors.Is(err, junos.ErrDirty) { // which says nothing about rights
			d.add("rights", StatusWarning, fmt.Sprintf("not tried: %v: try again when the database is free", err))
			return
		}
		if err != nil {
			d.add("rights", StatusFault, fmt.Sprintf("%s may not add %s: %v", d.cfg.User, r.what, err), d.ofClass(ctx, r.mend)...)
			return
		}
		done = r.what
	}
	d.add("rights", StatusOK, d.cfg.User+" may add "+done)
}

func (d *doctor) neededRights(ctx context.Context) []right {
	port := "ge-0/0/0.0"
	if interfaces, err := d.client.Interfaces(ctx); err == nil {
		if mine := d.cfg.meant(interfaces); len(mine) > 0 {
			port = mine[0]
		}
	}
	s := junos.Stanza{Group: d.cfg.Group, Peer: tryPeer.WithZone(port), Description: junos.Mark + " doctor, never committed"}
	needed := []right{{"a neighbour", s, []string{"permissions configure",
		fmt.Sprintf("allow-configuration-regexps \"protocols bgp group %s neighbor fe[89ab].*\"", d.cfg.Group)}}}
	if d.cfg.Inventory == "" && d.cfg.Unknown != unknownQuarantine {
		return needed
	}
	s.Import = junos.RejectAll // a policy of its own, as those of the inventory
	needed = append(needed, right{"a neighbour with an import policy", s,
		[]string{`allow-configuration-regexps "policy-options (policy-statement|as-path) lastmile-.*"`}})
	if keys, err := d.cfg.usesKeys(); err == nil && keys {
		s.Secret = tryKey()
		needed = append(needed, right{"a neighbour with an import policy and an authentication key", s,
			[]string{"permissions " + bootstrap.KeyPermission}})
	}
	return needed
}

// tryKey is nobody's key.
func tryKey() junos.Secret {
	key, _ := junos.NewSecret("never-committed") // it is a good one
	return key
}

// ofClass is set commands for the class of the agent's user, if the leaf tells which that is.
func (d *doctor) ofClass(ctx context.Context, statements []string) (commands []string) {
	class, err := d.client.LoginClass(ctx, d.cfg.User)
	if err != nil {
		class = "" // the commands say CLASS
	}
	for _, s := range statements {
		commands = append(commands, "set system login class "+cmp.Or(class, "CLASS")+" "+s)
	}
	return commands
}
