package kernel_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"lastmile/lab/netns"
)

// watchRoutes starts `ip monitor` for routes and next hops. The function it returns ends it and returns what it printed.
func watchRoutes(ns *netns.NS) (func() ([]string, error), error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "ip", "monitor", "route", "nexthop")
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := ns.Start(cmd); err != nil {
		cancel()
		return nil, err
	}
	lines := make(chan string, 10_000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	await := func(mark string) (seen []string, err error) {
		for line := range lines {
			if strings.Contains(line, mark) {
				return seen, nil
			}
			seen = append(seen, line)
		}
		return seen, fmt.Errorf("ip monitor ended before it told of %s", mark)
	}
	return func() ([]string, error) {
		defer func() { cancel(); _ = cmd.Wait() }()
		if _, err := ns.Run(ctx, "ip", "route", "add", "192.0.2.200/32", "dev", "lo"); err != nil {
			return nil, err
		}
		return await("192.0.2.200")
	}, begin(ctx, ns, await)
}

// begin waits until the monitor listens: it tells of a route.
func begin(ctx context.Context, ns *netns.NS, await func(string) ([]string, error)) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	heard := make(chan error, 1)
	go func() {
		_, err := await("192.0.2.100")
		heard <- err
	}()
	for {
		for _, verb := range []string{"add", "del"} {
			if _, err := ns.Run(ctx, "ip", "route", verb, "192.0.2.100/32", "dev", "lo"); err != nil {
				return err
			}
		}
		select {
		case err := <-heard:
			return err
		case <-ticker.C:
		}
	}
}
