// Command bfdpeer is a leaf's BFD and nothing else: hostagent's own, which keeps
// time whatever else the machine does. The benches of the lab put it before
// hostagent, FRR and BIRD alike, so that what they count is the daemon's under
// test. It is no part of what is installed.
//
// For each line on its standard input it prints its sessions as one line of
// JSON; at the end of the input it ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

func main() {
	run := watch
	if len(os.Args) > 1 && os.Args[1] == worker.Command {
		run = work
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bfdpeer:", err)
		os.Exit(1)
	}
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// work is the worker process, which worker.Client starts.
func work() error {
	flags := flag.NewFlagSet(worker.Command, flag.ContinueOnError)
	socket := flags.String("socket", "", "")
	orphan := flags.Duration("orphan", 0, "")
	if err := flags.Parse(os.Args[2:]); err != nil {
		return err
	}
	return worker.Main(worker.Config{Socket: *socket, Orphan: *orphan, Log: logger()})
}

// watch has a session with every peer that is named on the command line.
func watch() error {
	socket := flag.String("socket", "", "path of the worker's socket")
	interval := flag.Duration("interval", 0, "transmit and receive interval")
	multiplier := flag.Uint("multiplier", 3, "detection multiplier")
	flag.Parse()
	timers := bfd.Timers{Transmit: *interval, Receive: *interval, Multiplier: uint8(*multiplier)}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := worker.New(worker.Config{Socket: *socket, Orphan: time.Second, Claim: time.Second, Log: logger()})
	for _, text := range flag.Args() {
		peer, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := client.Watch(worker.Watch{Peer: peer, Timers: timers}); err != nil {
			return err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	go func() {
		for n := range client.News() {
			if n.Err != nil {
				fmt.Fprintln(os.Stderr, "bfdpeer:", n.Err)
			}
		}
	}()
	err := answer(ctx, client, timers)
	stop()
	return errors.Join(err, <-ended)
}

// A session is what lab reads: see its type bfdSession.
type session struct {
	Peer  netip.Addr
	Up    bool
	Ready bool // up, and both ends keep the timers that are wanted
	Ups   uint64
	// Failures of the session, and those of them that this end noticed.
	Failures, Expired uint64
	// Late is how many timers our own end was late for by more than a quarter
	// of the interval, and LateMax the most.
	Late    uint64
	LateMax time.Duration
}

func answer(ctx context.Context, client *worker.Client, timers bfd.Timers) error {
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		sessions, err := client.Sessions(ctx)
		if err != nil && !errors.Is(err, worker.ErrNoWorker) {
			return err
		}
		list := []session{}
		for _, s := range sessions {
			up := s.Known && s.State == bfd.Up
			list = append(list, session{
				Peer: s.Peer, Up: up, Ups: s.Ups, Failures: s.Failures, Expired: s.Expired, Late: s.Late, LateMax: s.LateMax,
				Ready: up && !s.Polling && s.TransmitInterval == timers.Transmit && s.Remote.DesiredMinTx == timers.Transmit &&
					s.DetectTime == timers.Receive*time.Duration(timers.Multiplier),
			})
		}
		if err := out.Encode(list); err != nil {
			return err
		}
	}
	return nil
}
