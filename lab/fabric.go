package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// StateRoot is where every running fabric has a directory of its own, with its
// topology and one directory a node for configuration, sockets and logs.
const StateRoot = "/run/lastmile"

// Config says what fabric to bring up and how.
type Config struct {
	Topology Topology
	Binaries Binaries
	// Asleep are servers whose daemon is not started with the fabric.
	Asleep []string
	// Out is told what goes on, in words for a person; nil says nothing.
	Out io.Writer
}

// A Fabric is a running fabric.
type Fabric struct {
	Topology Topology

	binaries Binaries
	dir      string
	out      io.Writer
	spaces   map[string]*netns.NS // by node
	guard    *guard               // nil in a fabric that was opened

	mu      sync.Mutex
	routers map[string]*frr.Router // by node
	hosts   map[string]stopper     // the daemons of servers, by node
}

// A stopper is anything that runs until told otherwise.
type stopper interface{ Stop() error }

// manifest is what a fabric leaves in its directory for the commands that look
// into it later.
type manifest struct {
	Topology Topology
	Binaries Binaries
}

const manifestFile = "fabric.json"

// keptFile is in the directory of a fabric that was kept: it is no leftover.
const keptFile = "kept"

// Up brings a fabric up and returns as soon as all its daemons run; see
// [Fabric.AwaitConverged] for the routes. What a killed run of the same name
// left behind is removed first; a fabric that was kept and runs is an error.
// Whatever happens to this process before
// [Fabric.Keep] or [Fabric.Close], the fabric is taken down.
func Up(ctx context.Context, cfg Config) (*Fabric, error) {
	if err := cfg.Topology.Validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if err := cfg.Binaries.check(cfg.Topology); err != nil {
		return nil, err
	}
	f := newFabric(cfg.Topology, cfg.Binaries)
	if cfg.Out != nil {
		f.out = cfg.Out
	}
	var err error
	if f.guard, err = newGuard(ctx, cfg.Topology.Name, cfg.Binaries.Lab); err != nil {
		return nil, err
	}
	if err := f.bringUp(ctx, cfg.Asleep); err != nil {
		err = interrupted(ctx, fmt.Errorf("bringing up fabric %s: %w", cfg.Topology.Name, err))
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Open returns the running fabric name, to look into it and to Stop and Start
// parts of it. Its daemons are another process's children: StopHost cannot stop
// them.
func Open(name string) (*Fabric, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	text, err := os.ReadFile(filepath.Join(StateRoot, name, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("fabric %s is not up", name)
	}
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("reading fabric %s: %w", name, err)
	}
	f := newFabric(m.Topology, m.Binaries)
	for _, n := range f.nodes() {
		if f.spaces[n.Name], err = netns.Open(f.space(n.Name)); err != nil {
			return nil, fmt.Errorf("fabric %s is damaged, take it down: %w", name, err)
		}
		if f.runsFRR(n) {
			f.routers[n.Name] = frr.Open(f.nodeDir(n.Name))
		}
		if n.Kind == Server { // it shall run, whether it does or not
			f.hosts[n.Name] = foreign{}
		}
	}
	return f, nil
}

// foreign is a daemon that another process started.
type foreign struct{}

func (foreign) Stop() error { return errors.New("it was started by another lab") }

func newFabric(t Topology, b Binaries) *Fabric {
	return &Fabric{
		Topology: t,
		binaries: b,
		dir:      filepath.Join(StateRoot, t.Name),
		out:      io.Discard,
		spaces:   map[string]*netns.NS{},
		routers:  map[string]*frr.Router{},
		hosts:    map[string]stopper{},
	}
}

func (f *Fabric) bringUp(ctx context.Context, asleep []string) error {
	if err := takeDown(f.Topology.Name); err != nil {
		return err
	}
	if err := f.makeDirs(); err != nil {
		return err
	}
	f.say("building %d nodes and %d links", len(f.Topology.Nodes), len(f.Topology.Links))
	if err := f.build(); err != nil {
		return err
	}
	f.say("starting the routers")
	if err := f.each(ctx, f.startNetwork, Spine, LeafFRR, LeafJunos); err != nil {
		return err
	}
	f.say("starting the servers' daemons")
	return f.each(ctx, func(ctx context.Context, n Node) error {
		if slices.Contains(asleep, n.Name) {
			return nil
		}
		return f.StartHost(ctx, n.Name)
	}, Server)
}

// each runs fn for all nodes of the kinds, side by side.
func (f *Fabric) each(ctx context.Context, fn func(context.Context, Node) error, kinds ...Kind) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, n := range f.Topology.OfKind(kinds...) {
		group.Go(func() error { return fn(ctx, n) })
	}
	return group.Wait()
}

// Keep lets the fabric run on after this process has ended.
func (f *Fabric) Keep() error {
	if err := os.WriteFile(filepath.Join(f.dir, keptFile), nil, 0o644); err != nil {
		return err
	}
	return f.guard.dismiss()
}

// checkFree returns an error if a fabric was kept under the name and any
// process of it lives.
func checkFree(name string) error {
	if _, err := os.Stat(filepath.Join(StateRoot, name, keptFile)); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	spaces, err := netns.List(name + "-")
	if err != nil {
		return err
	}
	for _, s := range spaces {
		ns, err := netns.Open(s)
		if err != nil {
			return err
		}
		pids, err := ns.Pids()
		if err := errors.Join(err, ns.Close()); err != nil {
			return err
		}
		if len(pids) > 0 {
			return fmt.Errorf("fabric %s is up; `lab down --name %s` first", name, name)
		}
	}
	return nil
}

// ErrInterrupted is the error of what was ended by its context, whatever that
// made fail.
var ErrInterrupted = errors.New("interrupted")

// interrupted is err, or ErrInterrupted if ctx has ended.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// Close takes the fabric down. Like Keep, it is for who brought it up.
func (f *Fabric) Close() error {
	errs := []error{takeDown(f.Topology.Name)}
	for _, ns := range f.spaces {
		errs = append(errs, ns.Close()) // the last that keeps its interfaces
	}
	return errors.Join(append(errs, f.guard.dismiss())...)
}

// Down takes down whatever there is of the fabric name: the processes in its
// namespaces, the namespaces, and its directory. Nothing there is no error.
func Down(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	lock, err := takeLock(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(takeDown(name), lock.Close())
}

// takeDown is Down for those who hold the lock.
func takeDown(name string) error {
	spaces, err := netns.List(name + "-")
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range spaces {
		ns, err := netns.Open(s)
		if err == nil {
			err = unpin(ns)
		}
		errs = append(errs, err)
	}
	errs = append(errs, os.RemoveAll(filepath.Join(StateRoot, name)))
	// Another fabric may be up: an error only says that the root is not empty.
	os.Remove(StateRoot)
	return errors.Join(errs...)
}

// nodes returns the nodes of the topology and those that follow from it.
func (f *Fabric) nodes() []Node {
	return slices.Concat(f.Topology.Nodes, f.Topology.sidecars())
}

func (f *Fabric) makeDirs() error {
	for _, n := range f.nodes() {
		if err := os.MkdirAll(f.nodeDir(n.Name), 0o755); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(manifest{f.Topology, f.binaries}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, manifestFile), text, 0o644)
}

// space is the name of a node's namespace.
func (f *Fabric) space(node string) string { return f.Topology.Name + "-" + node }

func (f *Fabric) nodeDir(node string) string { return filepath.Join(f.dir, node) }

// router returns the FRR of a node, or an error if it runs none.
func (f *Fabric) router(node string) (*frr.Router, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.routers[node]
	if !ok {
		return nil, fmt.Errorf("%s runs no FRR", node)
	}
	return r, nil
}

func (f *Fabric) say(format string, args ...any) {
	fmt.Fprintf(f.out, format+"\n", args...)
}
