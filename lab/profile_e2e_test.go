package lab_test

import (
	"testing"

	"lastmile/lab/junos"
)

// TestAgentOnEveryRelease: the same agent, before every habit that the simulator knows.
func TestAgentOnEveryRelease(t *testing.T) {
	several, err := junos.ProfileNamed("21.4R1")
	if err != nil {
		t.Fatal(err)
	}
	several.Name, several.Engines = "several routing engines", []string{"fpc0", "fpc1"}
	for _, p := range append(junos.Profiles(), several) {
		t.Run(p.Name, func(t *testing.T) {
			r := newRig(t, func(cfg *junos.Config) { cfg.Profile = p })
			r.plug("fe80::1", "ge-0-0-1")
			r.await(one)
			r.plug("fe80::2", "ge-0-0-2")
			r.await(one, two)
			r.rest()
			r.commits(2)
		})
	}
}
