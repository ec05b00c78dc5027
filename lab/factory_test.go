package lab_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestAgentFromFactoryToRoute: a leaf that knows nothing of servers is configured by bootstrap, whose import
// policy rejects everything; then a listed server has its session, and its own /32 is accepted and nothing else.
func TestAgentFromFactoryToRoute(t *testing.T) {
	k := newRackWith(t, func(cfg *junos.Config) {
		cfg.Static = "set system host-name leaf1\nset system services netconf ssh\n" +
			"set routing-options router-id 10.255.255.1\nset routing-options autonomous-system 65001\n"
	})
	k.eventually(func() bool { return strings.Contains(k.log.String(), "ephemeral instance") },
		func() string { return "the agent works without its instance:\n" + k.log.String() })
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), binaries(t).SwitchAgent, append(args, "--config", k.config)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("bootstrap", "--apply", "--login", "operator", "--login-key", filepath.Join(filepath.Dir(k.config), "id"))
	if committed := k.device.Committed(); !strings.Contains(committed, "group servers import lastmile-reject") || strings.Contains(committed, "servers peer-as") {
		t.Errorf("bootstrap has committed\n%s", committed)
	}
	k.rogue.configure(t, fmt.Sprintf("router bgp %d", k.rogue.as), "address-family ipv4 unicast", "network "+k.honest.own)
	for _, m := range []*machine{k.honest, k.rogue} {
		k.eventually(func() bool { return slices.Equal(k.accepted(m), m.may()) },
			func() string { return fmt.Sprintf("%s: %v, want %v; %+v", m.local, k.accepted(m), m.may(), k.peer(m)) })
	}
	k.eventuallyMetric(rejected, func(v float64) bool { return v == 1 })
	k.keeps(k.rogue, "beside the honest one")
	run("doctor") // without a fault
	for _, text := range []string{run("show", "inventory"), run("show", "inventory", "-o", "json")} {
		if !strings.Contains(text, "honest") || !strings.Contains(text, "Established") || strings.Contains(text, rackSecret) {
			t.Errorf("show inventory: %s", text)
		}
	}
}
