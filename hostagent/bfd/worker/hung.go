package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// silences is how many connections in a row, of answerTime each, a worker leaves
// without an answer before it is taken for hung.
const silences = 2

// hung counts the connections that the worker has left without an answer, which is
// why err, and kills one that does so again and again: its sessions are down, for it
// is as silent on the links, and it holds the lock that another one needs.
func (c *Client) hung(err error) error {
	if c.silences++; c.silences < silences {
		return err
	}
	c.silences = 0
	pid, killing := killWorker(c.cfg.Socket)
	if killing != nil {
		return errors.Join(err, killing)
	}
	c.cfg.Log.Error("BFD worker hangs, and is killed", "pid", pid, "unanswered", silences*answerTime)
	return err
}

// killWorker kills the worker that lives at the socket, and nobody else. The pidfd
// is from before the look at what the process is: should that end meanwhile, its
// number may become another's, the descriptor does not.
func killWorker(socket string) (pid uint32, err error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return 0, fmt.Errorf("connecting to the hung BFD worker: %w", err)
	}
	defer conn.Close()
	if pid, err = peerOf(conn); err != nil {
		return 0, err
	}
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return 0, fmt.Errorf("finding the hung BFD worker, process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := isWorker(pid, socket); err != nil {
		return 0, err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return 0, fmt.Errorf("killing the hung BFD worker, process %d: %w", pid, err)
	}
	return pid, nil
}

// isWorker says why a process is not the worker of the socket, of which there is one
// in a network namespace (see takeLock). One of an older release is not known: its
// socket names the hostagent that started it.
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
		return fmt.Errorf("process %d is not known to be the BFD worker that hangs: kill that", pid)
	}
	return nil
}
