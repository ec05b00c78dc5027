package junos_test

import (
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestEphemeralByHand: somebody edits an ephemeral instance on the command line, which nobody else can meanwhile.
func TestEphemeralByHand(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, netconf, cli := withCLI(t, cfg)
	const line = "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0"
	c := openTerminal(t, cli)
	for _, instance := range []string{"lastmile", ""} {
		c.types("configure ephemeral "+instance, atConfig, "warning: uncommitted changes will be discarded on exit", "Entering configuration mode")
		if by := device.OpenedBy(instance); by != "lab" {
			t.Errorf("%q is open by %q", instance, by)
		}
		if instance != "" {
			mustHold(t, dial(t, netconf), openEphemeral, "configuration database locked by:\n  lab")
		}
		c.types(line, atConfig)
		if got := c.types("show | compare", atConfig, "local-interface ge-0/0/1.0;"); strings.Contains(got, "host-name") {
			t.Errorf("compared with the static configuration: %s", got)
		}
		c.types("show | display set", atConfig, line)
		c.types("commit check", atConfig, "error: commit confirmed and commit check are not supported in this configuration mode")
		c.types("commit", atConfig, "commit complete")
		if got, err := device.Ephemeral(instance); err != nil || strings.TrimSpace(got) != line {
			t.Errorf("%q holds %q (%v)", instance, got, err)
		}
		c.types("delete protocols", atConfig)
		c.types("exit", atQuestion, "Discard uncommitted changes?")
		c.types("yes", atExec, "Exiting configuration mode")
		if by := device.OpenedBy(instance); by != "" {
			t.Errorf("%q is still open by %s", instance, by)
		}
		if got, _ := device.Ephemeral(instance); strings.TrimSpace(got) != line {
			t.Errorf("%q holds %q after edits that were discarded", instance, got)
		}
	}
	c.types("configure ephemeral other", atExec, "ephemeral instance 'other' not configured")
	c.types("configure ephemeral lastmile other", atExec, "syntax error")
	c.types("configure private other", atExec, "syntax error")
}

// TestConfiguredClass: a user of Config.Users without a class has the one of the committed configuration, from the
// next login on.
func TestConfiguredClass(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Users = append(cfg.Users, junos.User{Name: "boss", Password: "lab123", Class: "super-user"})
	device, address := serve(t, cfg)
	before := dial(t, address)
	mustHold(t, before, openEphemeral, "</rpc-reply>")
	mustHold(t, before, closeOpen, "</rpc-reply>")
	admin := device.Operator("admin")
	defer admin.Close()
	commitClass := func(lines string) {
		t.Helper()
		if err := admin.CommitPrivate(t.Context(), lines); err != nil {
			t.Fatal(err)
		}
	}
	commitClass("set system login class ro permissions view\nset system login user lab class ro\nset system login user boss class ro")
	mustHold(t, dial(t, address), openEphemeral, "permission denied")
	mustHold(t, dial(t, address), neighbors, "fe80::1")
	boss := dialAs(t, address, "boss", "1.0")
	mustHold(t, boss, openEphemeral, "</rpc-reply>")
	if reply := mustHold(t, boss, closeOpen, "</rpc-reply>"); strings.Contains(reply, "denied") {
		t.Errorf("a class of Config.Users is not kept: %s", reply)
	}
	commitClass("delete system login user lab class")
	if reply := rpc(t, dial(t, address), openEphemeral); strings.Contains(reply, "denied") {
		t.Errorf("without a class: %s", reply)
	}
}
