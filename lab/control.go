package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemons returns the names of the processes that a node runs when all is well,
// without FRR's bfdd, which not every fabric has.
func (n Node) daemons() []string {
	routing := []string{"zebra", "bgpd"}
	switch n.Kind {
	case Spine, LeafFRR:
		return routing
	case LeafJunos:
		return append(routing, "junos")
	case Sidecar:
		return []string{"switchagent"}
	case Server:
		if n.Daemon == HostFRR {
			return routing
		}
		return []string{"hostagent"}
	}
	return nil
}

// stoppable returns those of a node's daemons that Stop stops and Start starts.
func (n Node) stoppable() []string {
	switch n.Kind {
	case LeafJunos:
		return []string{"junos"}
	case Sidecar:
		return n.daemons()
	case Server:
		return append(n.daemons(), "bfdd")
	}
	return nil
}

// dead returns which of a node's daemons are not among its processes.
func (f *Fabric) dead(n Node, running []Process) []string {
	wanted := n.daemons()
	if f.runsFRR(n) && f.Topology.runsBFDD(n) {
		wanted = append(wanted, "bfdd")
	}
	return slices.DeleteFunc(wanted, func(name string) bool {
		return slices.ContainsFunc(running, func(p Process) bool { return p.Name == name })
	})
}

// Stop stops a node's daemon, as its service manager would, and returns when it
// has ended: a server's, a sidecar's switchagent or a Junos leaf's simulated
// Junos, whose FRR runs on. One that does not run is no error.
func (f *Fabric) Stop(ctx context.Context, node string) error {
	n, err := f.controlled(node)
	if err != nil {
		return err
	}
	signal, insist := unix.SIGTERM, time.Now().Add(5*time.Second)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return f.await(ctx, func() error {
		running, err := f.ownProcesses(n)
		if time.Now().After(insist) {
			signal = unix.SIGKILL
		}
		errs := []error{err}
		for _, p := range running {
			errs = append(errs, fmt.Errorf("%s: %s (%d) has not ended", node, p.Name, p.PID))
			if err := unix.Kill(p.PID, signal); err != nil && err != unix.ESRCH {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}

// Start starts what Stop stops, and returns when it answers. A simulated Junos
// boots: what was committed since its last boot is gone. One that runs is an
// error.
func (f *Fabric) Start(ctx context.Context, node string) error {
	n, err := f.controlled(node)
	if err != nil {
		return err
	}
	running, err := f.ownProcesses(n)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fmt.Errorf("%s: %s runs already, as process %d", node, running[0].Name, running[0].PID)
	}
	switch n.Kind {
	case LeafJunos:
		return f.runJunos(ctx, n)
	case Sidecar:
		return f.runSwitchAgent(ctx, node)
	}
	return f.StartHost(ctx, node)
}

// controlled returns a node that has something to stop and start.
func (f *Fabric) controlled(name string) (Node, error) {
	var names []string
	for _, n := range f.nodes() {
		if len(n.stoppable()) == 0 {
			continue
		}
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Node{}, fmt.Errorf("%q has no daemon to stop or start; %s have", name, strings.Join(names, ", "))
}

// ownProcesses returns what runs of a node's stoppable daemons.
func (f *Fabric) ownProcesses(n Node) ([]Process, error) {
	running, err := processes(f.spaces[n.Name])
	return slices.DeleteFunc(running, func(p Process) bool { return !slices.Contains(n.stoppable(), p.Name) }), err
}
