package junos_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"lastmile/lab/junos"
)

// TestOperator is a second writer in every database.
func TestOperator(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o := device.Operator("admin")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(o.Edit(ctx, `set system login message "half & half"`))
	mustHold(t, d, openPrivate, "configuration database modified")
	if !strings.Contains(device.Candidate(), `message "half & half"`) || strings.Contains(device.Committed(), "half") {
		t.Errorf("candidate: %s", device.Candidate())
	}
	if device.HasNeighbor("fe80::1") {
		t.Error("a neighbour without a commit")
	}
	ok(o.CommitEphemeral(ctx, "lastmile", "set protocols bgp group servers neighbor fe80::10 local-interface ge-0/0/1.0"))
	if device.HasNeighbor("fe80::1") || !device.HasNeighbor("fe80::10") {
		t.Errorf("merged: %s", device.Merged())
	}
	ok(o.Discard(ctx))
	ok(o.Lock(ctx))
	if device.LockedBy() != "admin" {
		t.Errorf("locked by %q", device.LockedBy())
	}
	mustHold(t, d, openPrivate, "locked by:\n  admin")
	ok(o.Edit(ctx, "set system host-name renamed"))
	ok(o.Commit(ctx))
	ok(o.Unlock(ctx))
	mustHold(t, d, committed, "set system host-name renamed")
	ok(o.Open(ctx, "lastmile"))
	mustHold(t, d, openEphemeral, "locked by:\n  admin")
	if err := o.Edit(ctx, "set nonsense"); err == nil {
		t.Error("nonsense was taken")
	}
	o.Close()
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	if device.OpenedBy("lastmile") != "lab" || len(device.Sessions()) != 1 {
		t.Errorf("opened by %q, sessions %v", device.OpenedBy("lastmile"), device.Sessions())
	}
	if _, err := device.Inject(junos.Fault{Kind: "burn"}); err == nil {
		t.Error("an unknown fault was taken")
	}
}

// TestDatabaseUsage grows with versions and ends at the limit.
func TestDatabaseUsage(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.DatabaseSize = 1 << 10
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, "<get-database-usage/>", "<maximum-size>0.00 MB</maximum-size>", "<available-space>")
	mustHold(t, d, "<get-database-usage><ephemeral-instance>other</ephemeral-instance></get-database-usage>", "not configured")
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name "+strings.Repeat("x", 1<<10)), "<ok/>")
	mustHold(t, d, commit, "could not allocate memory in database")
	if got, _ := device.Ephemeral("lastmile"); got != "" {
		t.Errorf("it was committed all the same: %.40s", got)
	}
	first := mustHold(t, d, "<get-commit-revision-information/>", "<revision>re0-")
	mustHold(t, d, closeOpen, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name x"), "<ok/>")
	mustHold(t, d, commit, "<ok/>")
	if again := rpc(t, d, "<get-commit-revision-information/>"); again == first {
		t.Error("the revision is the same after a commit")
	}
	mustHold(t, d, "<get-merged-configuration/>", "<domain-name>x</domain-name>")
}
