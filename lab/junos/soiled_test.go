package junos_test

import "testing"

// TestClearTouchesOnlyFaults: what a fault left in the candidate is gone with a boot. What somebody has put
// there under a lock since is theirs.
func TestClearTouchesOnlyFaults(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	inject(t, device, "dirty rpc=get-system-information")
	mustHold(t, d, "<get-system-information/>", "</rpc-reply>")
	if err := device.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	d = dial(t, address)
	mustHold(t, d, "<lock-configuration/>", "</rpc-reply>")
	mustHold(t, d, load("set system domain-name mine.example"), "<ok/>")
	device.ClearFaults()
	mustHold(t, d, commit, "<ok/>")
	mustHold(t, d, "<get-configuration/>", "mine.example")
}
