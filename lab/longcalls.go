package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"lastmile/lab/netns"
)

// longCalls is an ordinary process, ip, that makes system calls during which its
// processor does nothing else, unless the kernel is preemptible. When a link
// goes down that had an address, the kernel looks at every route of the namespace
// (fib_table_flush): 20 ms for half a million on the machine of docs/measurements.md.
type longCalls struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said *strings.Builder
}

const longLink = "long0"

// startLongCalls starts it in a namespace and gives that so many routes.
func startLongCalls(ns *netns.NS, routes int) (*longCalls, error) {
	c := &longCalls{cmd: exec.Command("ip", "-batch", "-"), said: &strings.Builder{}}
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := ns.Start(c.cmd); err != nil {
		return nil, fmt.Errorf("starting ip: %w", err)
	}
	out := bufio.NewWriter(c.in)
	fmt.Fprintf(out, "link add %s type veth peer name long1\nlink set long1 up\nlink set %[1]s up\naddress add 192.0.2.1/24 dev %[1]s\n", longLink)
	for addr := netip.MustParseAddr("11.0.0.0"); routes > 0; routes-- {
		fmt.Fprintf(out, "route add blackhole %s/32\n", addr)
		addr = addr.Next()
	}
	if err := out.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("adding routes: %w", err), c.end())
	}
	return c, nil
}

// make makes such calls until ctx ends, and returns how many. There is time for
// others between them.
func (c *longCalls) make(ctx context.Context) (n int, err error) {
	const pause = 50 * time.Millisecond
	for sleep(ctx, pause) == nil {
		_, err := fmt.Fprintf(c.in, "link set %s down\nlink set %[1]s up\n", longLink)
		if err != nil {
			return n, fmt.Errorf("taking a link down: %w", err)
		}
		n++
	}
	return n, nil
}

func (c *longCalls) end() error {
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(c.said.String()))
	}
	return nil
}
