package switchagent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/bootstrap"
	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
	"lastmile/switchagent/login"
)

// Finding is the result of one of Doctor's checks.
type Finding struct {
	Check  string   `json:"check"`
	Status string   `json:"status"` // ok, warning, fault or skipped
	Detail string   `json:"detail"`
	Mend   []string `json:"mend"` // commands: of the leaf if they begin with set, delete or activate
}

// The statuses, from good to bad.
const (
	StatusOK      = "ok"
	StatusSkipped = "skipped" // an earlier fault hides it
	StatusWarning = "warning" // it works, and should not stay so
	StatusFault   = "fault"   // servers get no session
)

// clockOff is how far the leaf's clock may be from ours: logs are compared by it, and certificates.
const clockOff = time.Minute

// Doctor checks every prerequisite, in the order in which they depend on each other. It changes
// nothing that lasts: for the rights it loads one neighbour and does not commit it.
func (c Config) Doctor(ctx context.Context) []Finding {
	d := &doctor{cfg: c}
	target, err := c.target()
	if err == nil {
		err = target.Check()
	}
	usable := d.files(target, err)
	d.inventory()
	if !usable {
		return d.skipRest()
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	client, err := c.open(dialCtx, target, func(junos.Trace) {})
	cancel()
	if !d.session(target, err) {
		return d.skipRest()
	}
	defer client.Close()
	client.Wait(mostWait)
	d.client = client
	for _, check := range []func(context.Context){d.release, d.tables, d.rejected, d.instance, d.rights, d.group, d.policies, d.ports, d.clock, d.usage} {
		check(ctx)
	}
	return d.found
}

type doctor struct {
	cfg    Config
	client *junos.Client
	listed *inventory.Inventory // nil if there is none, or no good one
	found  []Finding
}

// The checks, in order.
var doctorChecks = []string{
	"files", "inventory", "tcp", "host key", "login", "netconf", "release", "tables", "rejected prefixes", "instance", "rights", "group", "policies",
	"interfaces", "inventory ports", "router advertisements", "native discovery", "clock", "database usage",
}

func (d *doctor) add(check, status, detail string, mend ...string) {
	d.found = append(d.found, Finding{Check: check, Status: status, Detail: detail, Mend: append([]string{}, mend...)})
}

// result adds ok with a detail, or a fault.
func (d *doctor) result(check, detail string, err error, mend ...string) bool {
	if err != nil {
		d.add(check, StatusFault, err.Error(), mend...)
		return false
	}
	d.add(check, StatusOK, detail)
	return true
}

func (d *doctor) skipRest() []Finding {
	for _, check := range doctorChecks {
		if !slices.ContainsFunc(d.found, func(f Finding) bool { return f.Check == check }) {
			d.add(check, StatusSkipped, "")
		}
	}
	return d.found
}

func (d *doctor) files(t login.Target, err error) bool {
	if !d.result("files", "the key and the pinned host keys can be used", err) {
		return false
	}
	if warning := t.KeyWarning(); warning != "" {
		d.found[0].Status, d.found[0].Detail = StatusWarning, warning
	}
	return true
}

// session tells from the kind of an error how far the login came.
func (d *doctor) session(t login.Target, err error) bool {
	kind := login.KindOf(err)
	steps := []struct {
		check, good string
		kinds       []login.Kind
		mend        string
	}{
		{"tcp", t.Addr + " answers", []login.Kind{login.Files, login.Unreachable, login.Other},
			"set system services netconf ssh"},
		{"host key", "it is pinned", []login.Kind{login.Algorithms, login.HostKey}, ""},
		{"login", t.User + " may log in", []login.Kind{login.Auth}, d.authorize()},
		{"netconf", d.cfg.Transport + " session is open", []login.Kind{login.NoNetconf}, "set system services netconf ssh"},
	}
	for _, step := range steps {
		if err != nil && slices.Contains(step.kinds, kind) {
			var mend []string
			if step.mend != "" {
				mend = []string{step.mend}
			}
			return d.result(step.check, "", err, mend...)
		}
		d.add(step.check, StatusOK, step.good)
	}
	return true
}

// authorize is the statement that lets the agent's key in.
func (d *doctor) authorize() string {
	key, err := d.cfg.credentials().PublicKey()
	if err != nil {
		key = "ssh-ed25519 AAAA..."
	}
	return bootstrap.Authentication(d.cfg.User, key)
}

// release checks that the release can do what the configuration asks for.
func (d *doctor) release(ctx context.Context) {
	facts, err := d.client.Facts(ctx)
	if err != nil {
		d.result("release", "", err)
		return
	}
	release, err := junos.ParseRelease(facts.Version)
	if err != nil {
		d.add("release", StatusWarning, err.Error()+": only what every release can do is used")
		return
	}
	_, err = d.client.Database(d.cfg.database(), release)
	d.result("release", fmt.Sprintf("%s, %s, Junos %s can do what is configured", facts.Host, facts.Model, facts.Version), err)
}

// tables reads what every poll reads.
func (d *doctor) tables(ctx context.Context) {
	neighbors, err := d.client.Neighbors(ctx)
	if err == nil {
		_, err = d.client.RouterAdvertisements(ctx)
	}
	if err == nil {
		_, err = d.client.Sessions(ctx)
	}
	d.result("tables", fmt.Sprintf("neighbours (%d), router advertisements and sessions can be read", len(neighbors)), err,
		"set system login class CLASS permissions [ view view-configuration configure ]")
}

func (d *doctor) instance(ctx context.Context) {
	if d.cfg.Database != junos.Ephemeral {
		d.add("instance", StatusOK, "database: "+string(d.cfg.Database)+" needs none")
		return
	}
	err := d.client.CheckInstance(ctx, d.cfg.Instance)
	if err == nil {
		err = d.readsInstance(ctx)
	}
	d.result("instance", d.cfg.Instance+" is configured", err, commandsIn(err)...)
}

// readsInstance makes sure that the leaf shows the instance when it is asked for.
func (d *doctor) readsInstance(ctx context.Context) error {
	db, err := d.client.Database(junos.Options{Kind: junos.Ephemeral, Instance: d.cfg.Instance}, junos.Release{})
	if err == nil {
		_, err = db.Stanzas(ctx)
	}
	return err
}

func (d *doctor) group(ctx context.Context) {
	static, err := d.client.Static(ctx)
	if err == nil {
		err = static.CheckGroup(d.cfg.Group, d.cfg.groupNamesAS())
	}
	good := "group " + d.cfg.Group + " is external"
	if d.cfg.groupNamesAS() {
		good += " and has a peer-as"
	}
	d.result("group", good, err, commandsIn(err)...)
}

// commandsIn is the commands at the end of an error that says how to mend it.
func commandsIn(err error) []string {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, verb := range []string{"set ", "activate "} {
		if i := strings.Index(text, ": "+verb); i >= 0 {
			return slices.DeleteFunc(strings.Split(text[i+2:], ", "), func(word string) bool { return !strings.HasPrefix(word, verb) })
		}
	}
	return nil
}

// policies looks at the rest of the group.
func (d *doctor) policies(ctx context.Context) {
	static, err := d.client.Static(ctx)
	if err != nil {
		d.result("policies", "", err)
		return
	}
	// Where every stanza is from the inventory, each has a policy and a limit of its own.
	lacks := slices.DeleteFunc(static.Lacks(d.cfg.Group), func(l junos.Lack) bool { return l.Own && !d.cfg.groupNamesAS() && d.cfg.PrefixLimit > 0 })
	for _, lack := range lacks {
		status := StatusWarning
		if lack.Must {
			status = StatusFault
		}
		d.add("policies", status, lack.What, lack.Mend...)
	}
	if len(lacks) == 0 {
		d.add("policies", StatusOK, "families, import policies, prefix limits and BFD are there")
	}
}

// ports looks at the interfaces that servers are plugged in to.
func (d *doctor) ports(ctx context.Context) {
	interfaces, err := d.client.Interfaces(ctx)
	var static junos.Static
	if err == nil {
		static, err = d.client.Static(ctx)
	}
	if err != nil {
		d.result("interfaces", "", err)
		return
	}
	ports := d.cfg.meant(interfaces)
	d.linkLocals(interfaces, ports)
	d.listedPorts(interfaces)
	before := len(d.found)
	for _, ifl := range ports {
		if !static.Advertises(ifl) {
			d.add("router advertisements", StatusFault, ifl+" sends no router advertisements: servers do not find the leaf",
				"set protocols router-advertisement interface "+ifl+" max-advertisement-interval 4 default-lifetime 0")
		}
	}
	if len(d.found) == before {
		d.add("router advertisements", StatusOK, fmt.Sprintf("they are sent on %d interfaces", len(ports)))
	}
	before = len(d.found)
	for _, ifl := range ports {
		if static.Discovers(ifl) {
			d.add("native discovery", StatusWarning, ifl+": Junos discovers its neighbour by itself; the port is left alone",
				"delete protocols bgp group GROUP dynamic-neighbor NAME peer-auto-discovery interface "+ifl)
		}
	}
	if len(d.found) == before {
		d.add("native discovery", StatusOK, "it covers none of the interfaces")
	}
}

func (d *doctor) linkLocals(interfaces map[string]junos.Interface, ports []string) {
	before := len(d.found)
	if len(ports) == 0 {
		d.add("interfaces", StatusFault, fmt.Sprintf("the leaf has no logical interface that %q means, without an address of its own", d.cfg.Interfaces),
			"set interfaces PORT unit 0 family inet6", "set interfaces PORT unit 0 family inet")
	}
	for _, ifl := range ports {
		i := interfaces[ifl]
		linkLocal := slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() })
		if !i.Down && !linkLocal {
			d.add("interfaces", StatusFault, ifl+" is up and has no link-local address",
				strings.Replace("set interfaces "+ifl+" family inet6", ".", " unit ", 1))
		}
	}
	if len(d.found) == before {
		d.add("interfaces", StatusOK, fmt.Sprintf("%d are meant", len(ports)))
	}
}

func (d *doctor) clock(ctx context.Context) {
	theirs, err := d.client.Clock(ctx)
	if err != nil {
		d.result("clock", "", err)
		return
	}
	if theirs.IsZero() {
		d.add("clock", StatusWarning, "the leaf does not tell the time")
		return
	}
	from, until, certified := d.cfg.credentials().Validity()
	off := time.Since(theirs)
	switch {
	case certified && (theirs.Before(from) || !until.IsZero() && theirs.After(until)):
		d.add("clock", StatusFault, fmt.Sprintf("by the leaf's clock it is %s, and the user's certificate is not valid then", theirs.UTC().Format(time.RFC3339)),
			"set system ntp server ADDRESS")
	case off.Abs() > clockOff:
		d.add("clock", StatusWarning, fmt.Sprintf("the leaf's clock shows %s, which is %s off", theirs.UTC().Format(time.RFC3339), off.Abs().Round(time.Second)),
			"set system ntp server ADDRESS")
	default:
		d.add("clock", StatusOK, "the leaf's is within a minute of ours")
	}
}

func (d *doctor) usage(ctx context.Context) {
	instance := ""
	if d.cfg.Database == junos.Ephemeral {
		instance = d.cfg.Instance
	}
	u, err := d.client.DatabaseUsage(ctx, instance)
	switch {
	case err != nil:
		d.result("database usage", "", err)
	case u.Maximum == 0:
		d.add("database usage", StatusOK, "this release does not tell")
	case float64(u.Used) > usageHigh*float64(u.Maximum):
		d.add("database usage", StatusWarning, fmt.Sprintf("%d of %d MB are used", u.Used>>20, u.Maximum>>20), "set system configuration-database resize database-size-on-disk SIZE")
	default:
		d.add("database usage", StatusOK, fmt.Sprintf("%d of %d MB are used", u.Used>>20, u.Maximum>>20))
	}
}

// meant is the logical interfaces of a leaf that servers may be plugged in to, in order.
func (c Config) meant(interfaces map[string]junos.Interface) (ports []string) {
	for ifl := range interfaces {
		if c.mayTouch(ifl) && !owned(interfaces[ifl]) {
			ports = append(ports, ifl)
		}
	}
	slices.Sort(ports)
	return ports
}
