package junos

import (
	"strings"
	"testing"
)

// TestAnotherConfigurationForInstance: by Juniper's manual a switch that is asked for an instance which is not
// open may answer with the shared candidate. What is in that is nobody's to take for the agent's.
func TestAnotherConfigurationForInstance(t *testing.T) {
	const operators = `<protocols><bgp><group><name>servers</name>%s<neighbor><name>fe80::ff</name><description>of the operator</description>` +
		`<local-interface>ge-0/0/9.0</local-interface></neighbor></group></bgp></protocols></configuration>`
	for name, answer := range map[string]string{
		"version":     "<configuration><version>21.4R1</version>" + strings.Replace(operators, "%s", "", 1),
		"system":      "<configuration><system><host-name>leaf1</host-name></system>" + strings.Replace(operators, "%s", "", 1),
		"interfaces":  "<configuration><interfaces><interface><name>ge-0/0/1</name></interface></interfaces>" + strings.Replace(operators, "%s", "", 1),
		"group type":  "<configuration>" + strings.Replace(operators, "%s", "<type>external</type>", 1),
		"is unknown":  "<output>error: instance lastmile is unknown</output>",
		"syntax erro": "<output>\nsyntax error, expecting &lt;command&gt;.\n</output>",
	} {
		d := &device{t: t, replies: map[string][]string{"command": {answer}}}
		got, err := in(d.client()).Stanzas(t.Context())
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "lastmile") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestInstanceIsReadWhereItIsOpen: in the poll by the command that needs no lock, and under the lock as the
// manual wants it, with no attribute that could be overlooked.
func TestInstanceIsReadWhereItIsOpen(t *testing.T) {
	const poll = `<command format="xml">show ephemeral-configuration instance lastmile</command>`
	const locked = `<get-configuration format="xml"/>`
	d := &device{t: t, replies: map[string][]string{
		"command": {"<configuration/>"}, "get-configuration": {"committed.xml"}, "open-configuration": {""}, "load-configuration": {"<ok/>"},
		"commit-configuration": {"<ok/>"}, "close-configuration": {""}, "get-bgp-summary-information": {""},
	}}
	if _, err := in(d.client()).Stanzas(t.Context()); err != nil || d.asked[0] != poll {
		t.Errorf("asked %s: %v", d.asked, err)
	}
	d.asked = nil
	_, _ = in(d.client()).Commit(t.Context(), change) // whatever becomes of it: another test's matter
	open := false
	for _, body := range d.asked {
		open = open || strings.HasPrefix(body, "<open-configuration")
		if strings.HasPrefix(body, "<get-configuration") && open && body != locked {
			t.Errorf("under the lock asked %s, want %s", body, locked)
		}
		if strings.Contains(body, `"ephemeral"`) || strings.Contains(body, "ephemeral-instance=") {
			t.Errorf("asked %s, which the manual does not know", body)
		}
	}
	if !open {
		t.Errorf("never opened: asked %s", d.asked)
	}
}

// TestDeactivatedInstance: one that is deactivated, at whatever level, is not configured, and the command that
// mends it is another.
func TestDeactivatedInstance(t *testing.T) {
	const off = ` inactive="inactive"`
	levels := []string{"system", "configuration-database", "ephemeral", "instance"}
	for i := range len(levels) + 1 {
		reply := "<configuration>"
		for j, level := range levels {
			reply += "<" + level
			if i == j {
				reply += off
			}
			reply += ">"
		}
		reply += "<name>\nlastmile\n</name></instance></ephemeral></configuration-database></system></configuration>"
		err := one(t, map[string]string{"get-configuration": reply}).CheckInstance(t.Context(), "lastmile")
		switch {
		case i == len(levels):
			if err != nil {
				t.Errorf("active: %v", err)
			}
		case err == nil || !strings.Contains(err.Error(), "deactivated") || !strings.Contains(err.Error(), "activate "+strings.Join(levels[:i+1], " ")):
			t.Errorf("%s deactivated: %v", levels[i], err)
		}
		err = one(t, map[string]string{"get-configuration": reply}).CheckInstance(t.Context(), "other")
		if err == nil || !strings.Contains(err.Error(), "set system configuration-database ephemeral instance other") {
			t.Errorf("another instance: %v", err)
		}
	}
}
