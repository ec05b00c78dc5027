package worker

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// silences is how many connections in a row, of answerTime each, a worker leaves
// without an answer before it is taken for hung. The one that is made when it is
// started does not count.
const silences = 2

// hung counts the connections that the worker has left without an answer, which is
// why err, and kills one that does so again and again: its sessions are down, for it
// is as silent on the links, and it holds the lock that another one needs.
func (c *Client) hung(pid uint32, err error) error {
	if c.silences++; c.silences < silences {
		return err
	}
	c.silences = 0
	if killing := killWorker(pid, c.cfg.Socket); killing != nil {
		return errors.Join(err, killing)
	}
	c.cfg.Log.Error("BFD worker hangs, and is killed", "pid", pid, "unanswered", silences*answerTime)
	return err
}

// killWorker kills a process that is the worker of the socket, and nobody else. The
// pidfd is from before the look at what the process is: should that end meanwhile,
// its number may become another's, the descriptor does not.
func killWorker(pid uint32, socket string) error {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return fmt.Errorf("finding the hung BFD worker, process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := isWorker(pid, socket); err != nil {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("killing the hung BFD worker, process %d: %w", pid, err)
	}
	return nil
}

// isWorker says why a process is not the worker of the socket, of which there is one
// in a network namespace (see takeLock). It may be the hostagent that made the socket,
// and that runs: for a worker of an older release, or one that hangs before it listens.
func isWorker(pid uint32, socket string) error {
	proc := fmt.Sprintf("/proc/%d/", pid)
	name, err := os.ReadFile(proc + "comm")
	if err != nil {
		return err
	}
	line, err := os.ReadFile(proc + "cmdline")
	if err != nil {
		return err
	}
	theirs, err := os.Stat(proc + "ns/net")
	if err != nil {
		return err
	}
	ours, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	ordered := strings.Contains(string(line), "\x00--socket\x00"+socket+"\x00")
	if string(name) != processName+"\n" || !ordered || !os.SameFile(theirs, ours) {
		return fmt.Errorf("process %d, which listens at %s, is not known to be its BFD worker and is left alone: "+
			"if pgrep -f '%s --socket %s' finds another one, kill that", pid, socket, Command, socket)
	}
	return nil
}
