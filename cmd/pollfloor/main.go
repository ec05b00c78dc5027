// Command pollfloor polls a leaf's neighbour table as switchagent does, and
// nothing else: what `lab bench poll` compares with other NETCONF clients. It
// is no part of what is installed.
//
// It prints one line of JSON: the seconds that the session and each poll took,
// from the request to the decoded table, the seconds of CPU of all polls, how many
// entries there were, and the most memory that it had.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lastmile/switchagent/junos"
	"lastmile/switchagent/login"
)

// A result is the same as that of the other clients.
type result struct {
	Open    float64   `json:"open"`
	Polls   []float64 `json:"polls"`
	CPU     float64   `json:"cpu"`
	Entries int       `json:"entries"`
	Peak    int       `json:"peakKB"` // VmHWM
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pollfloor:", err)
		os.Exit(1)
	}
}

func run() error {
	var target login.Target
	flag.StringVar(&target.Addr, "target", "", "host:port of the leaf's NETCONF server")
	flag.StringVar(&target.User, "user", "", "login on the leaf")
	flag.StringVar(&target.Key, "key", "", "path of the private key")
	flag.StringVar(&target.KnownHosts, "known-hosts", "", "path of the pinned host keys")
	polls := flag.Int("polls", 3, "how many polls")
	flag.Parse()
	ctx := context.Background()
	var r result
	begin := time.Now()
	client, err := junos.Dial(ctx, target, func(junos.Trace) {})
	if err != nil {
		return err
	}
	defer client.Close()
	r.Open = time.Since(begin).Seconds()
	before := cpu()
	for range *polls {
		begin := time.Now()
		neighbors, err := client.Neighbors(ctx)
		if err != nil {
			return err
		}
		r.Polls = append(r.Polls, time.Since(begin).Seconds())
		r.Entries = len(neighbors)
	}
	r.CPU = cpu() - before
	if r.Peak, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// cpu is what this process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// peak is the most memory that this process has had, in KB.
func peak() (kb int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
