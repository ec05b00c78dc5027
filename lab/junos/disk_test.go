package junos_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestDiskOutlivesTheDevice: what is committed in the static configuration is there when the device is started again,
// what is in the candidate or in an ephemeral instance is not.
func TestDiskOutlivesTheDevice(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Disk = filepath.Join(t.TempDir(), "committed.set")
	first, _ := serve(t, cfg)
	admin := first.Operator("admin")
	defer admin.Close()
	const lines = "set system login user x class super-user\nset protocols bgp group servers description \"a \\\"b\\\" c\"\n" +
		"set protocols bgp group other type external\ndeactivate protocols bgp group other\n"
	if err := admin.CommitPrivate(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	if err := admin.CommitEphemeral(t.Context(), "lastmile", "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0"); err != nil {
		t.Fatal(err)
	}
	if err := admin.Edit(t.Context(), "set system host-name unfinished"); err != nil {
		t.Fatal(err)
	}
	again, _ := serve(t, cfg)
	if got, want := again.Committed(), first.Committed(); got != want || !strings.Contains(got, "deactivate protocols bgp group other") {
		t.Errorf("after the start:\n%s\nbefore:\n%s", got, want)
	}
	if again.Candidate() != again.Committed() {
		t.Error("the candidate is not clean")
	}
	if got, _ := again.Ephemeral("lastmile"); got != "" {
		t.Errorf("the ephemeral instance holds %s", got)
	}
}

// TestRollbackReachesTheDisk: a commit that nobody confirmed is not what the device boots with.
func TestRollbackReachesTheDisk(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Disk, cfg.Minute = filepath.Join(t.TempDir(), "committed.set"), 1
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, load("set system domain-name tried.example"), "<ok/>")
	mustHold(t, d, "<commit-configuration><confirmed/></commit-configuration>", "<ok/>")
	eventually(t, "rolled back", func() bool { return !strings.Contains(device.Committed(), "tried.example") })
	text, err := os.ReadFile(cfg.Disk)
	if err != nil || string(text) != device.Committed() {
		t.Errorf("%v on the disk is\n%s", err, text)
	}
}

// TestDiskProblems: a commit that cannot be written is refused, and a disk that holds no configuration is named.
func TestDiskProblems(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Disk = filepath.Join(t.TempDir(), "missing", "committed.set")
	device, _ := serve(t, cfg)
	admin := device.Operator("admin")
	defer admin.Close()
	before := device.Committed()
	if err := admin.CommitPrivate(t.Context(), "set system host-name lost"); err == nil || !strings.Contains(err.Error(), cfg.Disk) {
		t.Errorf("the commit: %v", err)
	}
	if device.Committed() != before {
		t.Error("it took effect all the same")
	}
	cfg.Disk = filepath.Join(t.TempDir(), "committed.set")
	if err := os.WriteFile(cfg.Disk, []byte("set nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := junos.New(cfg); err == nil || !strings.Contains(err.Error(), cfg.Disk) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("it boots with nonsense: %v", err)
	}
}
