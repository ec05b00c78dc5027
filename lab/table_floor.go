package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"lastmile/lab/blast"
)

// write has the routes of the table written by what speaks no protocol: our own
// writer to the kernel alone, or `ip -batch`, one message a route to a next-hop
// group. The time is the process's.
func (s *stage) write(ctx context.Context, d Daemon, t blast.Table) (r tableRun, err error) {
	cmd := exec.CommandContext(ctx, s.cfg.Binaries.FIBFloor, "--routes", fmt.Sprint(t.Prefixes), "--first", t.Prefix(0).Addr().String(),
		"--via", leafEnds[0].WithZone(uplinkNames[0]).String(), "--via", leafEnds[1].WithZone(uplinkNames[1]).String())
	if d == ipBatch {
		path := filepath.Join(s.dir, "routes")
		if err := s.writeBatch(path, t); err != nil {
			return r, err
		}
		cmd = exec.CommandContext(ctx, "ip", "-batch", path)
	}
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := s.host.Start(cmd); err != nil {
		return r, err
	}
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("%s: %w", d, err)
	}
	r.load = time.Since(start).Seconds()
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	missing, err := s.view.missing(t.Prefixes, t.Prefix, func(over devices) bool { return over[s.ports[0]] && over[s.ports[1]] })
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%s: %d routes of %d are not in the kernel", d, len(missing), t.Prefixes)
	}
	return r, err
}

// writeBatch writes the commands for ip.
func (s *stage) writeBatch(path string, t blast.Table) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
	for i := range leafEnds {
		fmt.Fprintf(w, "nexthop add id %d via %s dev %s\n", i+1, leafEnds[i], uplinkNames[i])
	}
	fmt.Fprintln(w, "nexthop add id 3 group 1/2")
	for i := range t.Prefixes {
		fmt.Fprintf(w, "route add %s nhid 3\n", t.Prefix(i))
	}
	return nil
}
