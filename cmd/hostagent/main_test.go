package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/cmd/internal/daemon"
	"lastmile/hostagent"
)

func TestReferenceConfigurationHoldsTheDefaults(t *testing.T) {
	got := hostagent.DefaultConfig()
	if err := daemon.Load("../../docs/hostagent.yaml", &got); err != nil {
		t.Fatal(err)
	}
	want := hostagent.DefaultConfig()
	want.AS, want.Uplinks = 64512, []string{"eth*"}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(want.RouterID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
