package netns_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

const victimEnv = "NETNS_TEST_VICTIM"

// beVictim makes what a test makes, says what, and waits to be killed.
func beVictim(t *testing.T) {
	n, dir := netns.ForTest(t, "victim"), netns.DirForTest(t, "victim")
	inside := exec.Command("sleep", "600")
	if err := n.Start(inside); err != nil {
		t.Fatal(err)
	}
	fmt.Println(n.Name, dir, inside.Process.Pid)
	io.Copy(io.Discard, os.Stdin)
}

// TestKilledTestsAreSweptUp: what a test has made outlives it if it is killed, and goes with the next run of any test.
// What a test that lives has made is left alone.
func TestKilledTestsAreSweptUp(t *testing.T) {
	if os.Getenv(victimEnv) != "" {
		beVictim(t)
		return
	}
	victim := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), victimEnv+"=1")
	stdin, inErr := victim.StdinPipe()
	stdout, outErr := victim.StdoutPipe()
	if err := errors.Join(inErr, outErr, victim.Start()); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	said, err := bufio.NewReader(stdout).ReadString('\n')
	var name, dir string
	var inside int
	if _, scanErr := fmt.Sscan(said, &name, &dir, &inside); err != nil || scanErr != nil {
		t.Fatalf("the victim says %q (%v, %v)", said, err, scanErr)
	}
	left := func() string {
		var all []string
		if names, err := netns.List(name); err != nil || len(names) > 0 {
			all = append(all, "namespace")
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			all = append(all, "directory")
		}
		if !errors.Is(unix.Kill(inside, 0), unix.ESRCH) {
			all = append(all, "process")
		}
		return strings.Join(all, " ")
	}
	nextRun(t)
	if got := left(); got != "namespace directory process" {
		t.Errorf("of a test that lives there is %q", got)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait() // which says that it was killed
	nextRun(t)
	for deadline := time.Now().Add(20 * time.Second); left() != ""; time.Sleep(10 * time.Millisecond) { // a killed process takes a moment
		if time.Now().After(deadline) {
			t.Fatalf("of a test that was killed there is %q", left())
		}
	}
}

// nextRun is a run of another test.
func nextRun(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("/proc/self/exe", "-test.run=^TestNamesAreTakenOnce$").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
