package lab_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestListing takes a port out of the inventory and puts it back, in each way to load, and looks at the leaf's
// router what is accepted: unlisted, listed, taken out while the session is up, and quarantined.
func TestListing(t *testing.T) {
	for _, load := range []string{"merge", "replace", "update"} {
		t.Run(load, func(t *testing.T) { listing(t, load) })
	}
}

func listing(t *testing.T, load string) {
	k := newRackWith(t, func(cfg *junos.Config) {
		cfg.Static += advertising
		cfg.Static = strings.ReplaceAll(cfg.Static, "servers peer-as 64512\n", "servers peer-as 4200000101\n") // of the unlisted
	})
	m, as := k.honest, fmt.Sprintf("router bgp %d", k.honest.as)
	m.configure(t, as, "address-family ipv4 unicast", "network 10.7.7.7/32") // is never its own
	k.reconfigure("load: " + load + "\n")
	listed := m.may()
	k.takes(m, "listed at first", listed)
	k.takes(k.rogue, "beside it", k.rogue.may())
	before, witness := k.peer(m), k.peer(k.rogue)

	k.list(k.rogue)
	k.takes(m, "taken out", nil)
	k.list(m, k.rogue)
	k.takes(m, "put back", listed)
	k.list(k.rogue)
	k.takes(m, "taken out again", nil)
	if after := k.peer(m); after.Dropped != before.Dropped || after.Up < before.Up {
		t.Errorf("the session of the port was %+v and is %+v", before, after)
	}

	m.configure(t, as, "neighbor eth0 shutdown")
	k.eventually(func() bool { return !strings.Contains(k.merged(), m.local) }, k.merged)
	k.list(m, k.rogue)
	m.configure(t, as, "no neighbor eth0 shutdown")
	k.takes(m, "listed after it was unlisted", listed)

	k.list(k.rogue)
	m.configure(t, as, "neighbor eth0 shutdown")
	k.eventually(func() bool { return !strings.Contains(k.merged(), m.local) }, k.merged)
	k.reconfigure("unknown: quarantine\n")
	m.configure(t, as, "no neighbor eth0 shutdown")
	k.takes(m, "quarantined", nil)
	k.list(m, k.rogue)
	k.takes(m, "listed after quarantine", listed)

	if after := k.peer(k.rogue); after.Dropped != witness.Dropped || after.Up < witness.Up {
		t.Errorf("the session of the other port was %+v and is %+v", witness, after)
	}
	k.keeps(k.rogue, "beside it")
	if fails := k.device.Stats().RouterFails; fails != 0 {
		t.Errorf("FRR refused something in %d commits", fails)
	}
}

// reconfigure starts the agent again with more lines in its configuration.
func (k *rack) reconfigure(lines string) {
	k.t.Helper()
	text, err := os.ReadFile(k.config)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(k.config, append(text, lines...), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.startAgent(binaries(k.t).SwitchAgent)
}

// takes waits until these prefixes of a machine are in the leaf's table and no others, with the session up,
// and the agent counts those and what the leaf rejects.
func (k *rack) takes(m *machine, when string, want []string) {
	k.t.Helper()
	k.eventually(func() bool { return k.peer(m).State == "Established" && slices.Equal(k.accepted(m), want) },
		func() string {
			return fmt.Sprintf("%s: of %s %v is accepted, want %v; %+v; leaf has\n%s", when, m.local, k.accepted(m), want, k.peer(m), k.merged())
		})
	count := func(result string) float64 {
		return k.metric(fmt.Sprintf("switchagent_prefixes{link=%q,result=%q}", m.port, result))
	}
	sent := len(m.may())
	if m == k.honest {
		sent++
	}
	k.eventually(func() bool {
		return count("accepted") == float64(len(want)) && count("rejected") == float64(sent-len(want))
	},
		func() string { return fmt.Sprintf("%s: %s", when, k.scrape()) })
}

func (k *rack) merged() string { return k.device.Merged() }
