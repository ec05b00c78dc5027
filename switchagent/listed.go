package switchagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

// Listed is a port of the inventory, and who is there now.
type Listed struct {
	Link     string         `json:"link"`
	Server   string         `json:"server"`
	AS       []uint32       `json:"as"`
	Prefixes []netip.Prefix `json:"prefixes"`
	Shared   []netip.Prefix `json:"shared"`
	MACs     []string       `json:"macs"`
	// Key is how the file with the key is: empty if there is none, readable, or unreadable.
	Key string `json:"key"`
	// Rows are the neighbours and stanzas of the port.
	Rows []Row `json:"neighbors"`
}

// Inventory is the ports that are listed, in the order of the file.
func (o *Operation) Inventory(ctx context.Context) ([]Listed, error) {
	if o.agent.cfg.Inventory == "" {
		return nil, errors.New("no inventory is configured")
	}
	if err := o.agent.refreshStock(ctx); err != nil {
		return nil, err
	}
	rows, err := o.Show(ctx)
	if err != nil {
		return nil, err
	}
	return o.agent.stock.listed(rows), nil
}

func (s *stock) listed(rows []Row) (all []Listed) {
	byLink := map[string][]Row{}
	for _, r := range rows {
		byLink[r.Link] = append(byLink[r.Link], r)
	}
	for _, e := range s.current.Entries() {
		all = append(all, Listed{
			Link: e.Port, Server: e.Server, AS: e.AS, Key: s.keyState(e), Rows: append([]Row{}, byLink[e.Port]...),
			Prefixes: append([]netip.Prefix{}, e.Prefixes...), Shared: append([]netip.Prefix{}, e.Shared...), MACs: append([]string{}, e.MACs...),
		})
	}
	return all
}

func (s *stock) keyState(e inventory.Entry) string {
	switch {
	case e.KeyFile == "":
		return ""
	case s.bad[e.Port] != "":
		return "unreadable"
	}
	return "readable"
}

// inventory checks the table and its keys, which needs no leaf.
func (d *doctor) inventory() {
	if d.cfg.Inventory == "" {
		d.add("inventory", StatusOK, "none: every neighbour gets a session")
		return
	}
	listed, err := d.cfg.readInventory()
	d.listed = listed
	if err == nil {
		d.add("inventory", StatusOK, fmt.Sprintf("%d ports are listed, and their keys can be read", len(listed.Entries())))
		return
	}
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		d.add("inventory", StatusFault, problem)
	}
}

// listedPorts compares the inventory's ports with the leaf's. One that the leaf does not have may
// wait for its optic, so it is no fault.
func (d *doctor) listedPorts(interfaces map[string]junos.Interface) {
	if d.listed == nil {
		if d.cfg.Inventory != "" {
			d.add("inventory ports", StatusSkipped, "")
			return
		}
		d.add("inventory ports", StatusOK, "none are listed")
		return
	}
	before := len(d.found)
	for _, e := range d.listed.Entries() {
		where := fmt.Sprintf("%s:%d: port %s of %s ", d.cfg.Inventory, e.Line, e.Port, e.Server)
		_, there := interfaces[e.Port]
		switch {
		case !there:
			d.add("inventory ports", StatusWarning, where+"does not exist on the leaf", strings.Replace("set interfaces "+e.Port+" family inet6", ".", " unit ", 1))
		case !d.cfg.mayTouch(e.Port):
			d.add("inventory ports", StatusWarning, where+fmt.Sprintf("is none that interfaces %q means", d.cfg.Interfaces))
		}
	}
	if len(d.found) == before {
		d.add("inventory ports", StatusOK, "the leaf has all that are listed")
	}
}
