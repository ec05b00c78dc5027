package switchagent

import (
	"testing"

	"lastmile/switchagent/junos"
)

// TestPlannerLearnsWhoseTheKeyIs: the bare address is an operator's neighbour on another port. That is known from the
// guards, and the next plan has the interface in the key.
func TestPlannerLearnsWhoseTheKeyIs(t *testing.T) {
	p, server := newPlanner(testConfig()), peer(1, 1)
	p.policy.scoped = true
	seen := tables{neighbors: []junos.Neighbor{spine, router(server)}}
	g := free()
	g.others = map[junos.Place]bool{{Group: "servers", Key: server.WithZone("").String()}: true}
	if first := p.guard(epoch, p.want(epoch, seen), g); !first.empty() || first.refused[server] != foreign {
		t.Errorf("at first: %s", first)
	}
	second := p.guard(epoch, p.want(epoch, seen), g)
	if len(second.change.Add) != 1 || second.change.Add[0].Key != server.String() {
		t.Errorf("then: %s", second)
	}
}
