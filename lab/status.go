package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/lab/netns"
)

// A Status is what a running fabric looks like.
type Status struct {
	Fabric string       `json:"fabric"`
	Nodes  []NodeStatus `json:"nodes"`
	// Missing says what keeps the fabric from being converged, or is empty.
	Missing string `json:"missing,omitempty"`
}

// A NodeStatus is what one node looks like.
type NodeStatus struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	AS        uint32    `json:"as,omitempty"`
	Processes []Process `json:"processes"`
	Sessions  []Session `json:"sessions,omitempty"` // of spines and leaves
	Routes    []Route   `json:"routes"`             // IPv4, as daemons installed them
}

// A Process is a program that runs in a node.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// Status looks into every node.
func (f *Fabric) Status(ctx context.Context) (Status, error) {
	s := Status{Fabric: f.Topology.Name}
	for _, n := range f.nodes() {
		node, err := f.nodeStatus(ctx, n)
		if err != nil {
			return Status{}, err
		}
		s.Nodes = append(s.Nodes, node)
	}
	s.Missing = f.missing(ctx, s.Nodes)
	return s, nil
}

// missing says what keeps the fabric from being converged: all daemons that do
// not run or, if they all do, the first session or route that is not there.
func (f *Fabric) missing(ctx context.Context, nodes []NodeStatus) string {
	var dead []string
	for i, n := range f.nodes() {
		for _, name := range f.dead(n, nodes[i].Processes) {
			dead = append(dead, fmt.Sprintf("%s: %s does not run", n.Name, name))
		}
	}
	if len(dead) > 0 {
		return strings.Join(dead, "; ")
	}
	if err := f.Converged(ctx); err != nil {
		return err.Error()
	}
	return ""
}

func (f *Fabric) nodeStatus(ctx context.Context, n Node) (NodeStatus, error) {
	s := NodeStatus{Name: n.Name, Kind: n.Kind, AS: n.AS}
	var err error
	if s.Processes, err = processes(f.spaces[n.Name]); err != nil {
		return s, err
	}
	if (n.Kind == Spine || n.IsLeaf()) && !slices.Contains(f.dead(n, s.Processes), "bgpd") {
		if s.Sessions, err = f.Sessions(ctx, n.Name); err != nil {
			return s, err
		}
	}
	s.Routes, err = f.Routes(ctx, n.Name, 4)
	return s, err
}

func processes(ns *netns.NS) ([]Process, error) {
	pids, err := ns.Pids()
	if err != nil {
		return nil, err
	}
	var ps []Process
	for _, pid := range pids {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(args) == 0 {
			continue // it has ended since
		}
		name, _, _ := strings.Cut(string(args), "\x00")
		if name == "/proc/self/exe" { // hostagent's own, which take a name
			taken, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err != nil {
				continue
			}
			name = strings.TrimSpace(string(taken))
		}
		ps = append(ps, Process{filepath.Base(name), pid})
	}
	slices.SortFunc(ps, func(a, b Process) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID))
	})
	return ps, nil
}

// WriteText writes the status for people.
func (s Status) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tKIND\tAS\tROUTES\tPROCESSES")
	for _, n := range s.Nodes {
		var ps []string
		for _, p := range n.Processes {
			ps = append(ps, fmt.Sprintf("%s (%d)", p.Name, p.PID))
		}
		as := "-"
		if n.AS != 0 {
			as = strconv.FormatUint(uint64(n.AS), 10)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", n.Name, n.Kind, as, len(n.Routes), strings.Join(ps, ", "))
	}
	fmt.Fprintln(t, "\nSESSION\tINTERFACE\tPEER\tAS\tSTATE\tUP\tBFD")
	for _, n := range s.Nodes {
		for _, x := range n.Sessions {
			up := (time.Duration(x.Uptime) * time.Millisecond).Round(time.Second)
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
				x.Node, x.Interface, x.Peer, x.PeerAS, x.State, up, cmp.Or(x.BFD, "-"))
		}
	}
	fmt.Fprintln(t, "\nSERVER\tROUTE")
	for _, n := range s.Nodes {
		for _, r := range n.Routes {
			if n.Kind == Server {
				fmt.Fprintf(t, "%s\t%s\n", n.Name, r)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	verdict := "converged: every daemon runs, every session is up, every server reaches every other over all its links"
	if s.Missing != "" {
		verdict = "not converged: " + s.Missing
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict)
	return err
}

// Shell runs a command in a node, or an interactive shell if there is none,
// with the terminal of this process, in the node's directory: `vtysh
// --vty_socket .` talks to its FRR there.
func (f *Fabric) Shell(ctx context.Context, node string, command []string) error {
	ns, ok := f.spaces[node]
	if !ok {
		return fmt.Errorf("there is no node %q; there are %s", node, strings.Join(f.nodeNames(), ", "))
	}
	if len(command) == 0 {
		command = []string{cmp.Or(os.Getenv("SHELL"), "/bin/sh")}
	}
	// So that `lab shell bms1 hostagent show ...` runs the one of this fabric.
	path := filepath.Dir(f.binaries.HostAgent) + string(filepath.ListSeparator) + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Dir = f.nodeDir(node)
	cmd.Env = append(os.Environ(), "LAB_NODE="+node)
	if err := ns.Start(cmd); err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return ExitStatus(exit.ExitCode())
	}
	return err
}

// An ExitStatus is the status other than 0 with which a command in a node
// ended.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("the command ended with status %d", int(s)) }

func (f *Fabric) nodeNames() []string {
	var names []string
	for _, n := range f.nodes() {
		names = append(names, n.Name)
	}
	return names
}
