package lab

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// What processes share counts once in what they take now, and at most.
func TestUsageCountsSharedPagesOnce(t *testing.T) {
	var pids []int
	for range 2 { // the same program twice, each for as long as its standard input is open
		cat := exec.Command("cat")
		stdin, err := cat.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cat.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			stdin.Close()
			cat.Wait()
		})
		pids = append(pids, cat.Process.Pid)
	}
	less := func(pid int) bool {
		u, err := processUsage(pid)
		if err != nil {
			t.Fatal(err)
		}
		highest, err := sizeIn(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
		if err != nil {
			t.Fatal(err)
		}
		return 0 < u.resident && u.resident <= u.peak && u.peak < highest
	}
	for deadline := time.Now().Add(time.Minute); !less(pids[0]) || !less(pids[1]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the pages of a program that runs twice count in full, or not at all")
		}
	}
}

func TestSizeNotThere(t *testing.T) {
	if _, err := sizeIn("/proc/self/status", "Pss"); err == nil {
		t.Error("a size that is not in the file was found")
	}
}
