package hostagent_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// built is where the program is; made by TestMain, filled by the first test that needs it.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "hostagent-test-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(built)
	os.Exit(status)
}

var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", built, "lastmile/cmd/hostagent").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building hostagent: %w: %s", err, out)
	}
	return nil
})

// hostagentProgram is a path of the daemon that is the test's own. It is built once.
func hostagentProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostagent")
	err := build()
	if err == nil {
		err = os.Link(filepath.Join(built, "hostagent"), path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// namespaceWithPins makes the namespace of a server. What is pinned in it is removed when it has gone, and with it who
// pins: another one may get its number.
func namespaceWithPins(t *testing.T, label string) *netns.NS {
	t.Helper()
	var pins string
	t.Cleanup(func() {
		if pins == "" {
			return
		}
		if err := os.RemoveAll(pins); err != nil {
			t.Error(err)
		}
	})
	ns := netns.ForTest(t, label)
	if err := sweepPins(); err != nil {
		t.Logf("sweeping up after tests that were killed: %v", err)
	}
	if err := ns.Do(func() (err error) { pins, err = uplink.PinsHere(); return err }); err != nil {
		t.Fatal(err)
	}
	return ns
}

// sweepPins removes, once, what was pinned for network namespaces that are no more, by hostagents of tests that were killed.
var sweepPins = sync.OnceValue(func() error {
	// Before the namespaces: what is pinned meanwhile, in a new one, is not among them.
	dirs, err := filepath.Glob(uplink.DefaultDir + "/*")
	if err != nil {
		return err
	}
	living := map[string]bool{}
	for _, pattern := range []string{"/run/netns/*", "/proc/[0-9]*/ns/net"} {
		all, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, ns := range all {
			var st unix.Stat_t
			if unix.Stat(ns, &st) == nil { // or it has just ended
				living[strconv.FormatUint(st.Ino, 10)] = true
			}
		}
	}
	var errs []error
	for _, dir := range dirs {
		if !living[filepath.Base(dir)] {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
})
