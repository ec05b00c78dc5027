package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// A bfdStage is a server with one daemon and uplinks to leaves that speak BGP
// and BFD and are the same before every daemon: senders of a table, and
// cmd/bfdpeer. There is a bridge in the middle of each uplink.
type bfdStage struct {
	bfdSetting
	dir                string
	host, middle, leaf *netns.NS
	ports              []bridgePort // the server's side of each bridge
	leaves             []*blast.Leaf
	peer               *bfdPeer
	view               *kernelView // of the server
	watch              *routeWatch
	givenUp            bool // see FailoverResult
}

// bfdSetting says what a bfdStage is like.
type bfdSetting struct {
	Name     string // begins the names of the namespaces, as in Topology
	Binaries Binaries
	Daemon   Daemon
	Uplinks  int // two or more
	Timers   BFDTimers
	Table    blast.Table // of the first two leaves; the others have nothing to tell
	Watched  bool        // whether the routes of the first two uplinks are
}

// The ends of uplink i.
func bfdUplink(i int) string      { return fmt.Sprintf("eth%d", i) }
func bfdDownlink(i int) string    { return fmt.Sprintf("swp%d", i) }
func bfdHostEnd(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fe80::a:%x", i+1)) }
func bfdLeafEnd(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fe80::b:%x", i+1)) }

// setBFDStage builds everything but the server's daemon.
func setBFDStage(set bfdSetting) (s *bfdStage, err error) {
	s = &bfdStage{bfdSetting: set, dir: filepath.Join(StateRoot, set.Name, string(set.Daemon))}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("building a stage for %s: %w", set.Daemon, err), s.clear())
		}
	}()
	for _, n := range []struct {
		ns   **netns.NS
		name string
	}{{&s.host, "host"}, {&s.middle, "middle"}, {&s.leaf, "leaf"}} {
		if *n.ns, err = netns.New(fmt.Sprintf("%s-%s-%s", set.Name, set.Daemon, n.name)); err != nil {
			return s, err
		}
		if err := prepareStage(*n.ns); err != nil {
			return s, err
		}
	}
	if err := s.cable(); err != nil {
		return s, err
	}
	if err := s.host.AddAddress("lo", stageAddress+"/32"); err != nil {
		return s, err
	}
	if set.Watched {
		if err := s.watchUplinks(); err != nil {
			return s, err
		}
	}
	return s, s.startLeaves()
}

func (s *bfdStage) watchUplinks() (err error) {
	var devices [2]int
	for i := range devices {
		if devices[i], err = linkIndex(s.host, bfdUplink(i)); err != nil {
			return err
		}
	}
	if s.watch, err = watchRoutes(s.host, devices, s.Table); err != nil {
		return err
	}
	s.view, err = newKernelView(s.host)
	return err
}

// prepareStage makes the kernel leave link-local addresses to us: these can be
// used at once. The rest is what hostagent sets for itself, for its rivals.
func prepareStage(ns *netns.NS) error {
	return errors.Join(
		ns.Sysctl("net.ipv6.conf.default.addr_gen_mode", "1"),
		ns.Sysctl("net.ipv4.fib_multipath_hash_policy", "1"),
		ns.Sysctl("net.ipv4.conf.all.rp_filter", "0"),
		ns.Sysctl("net.ipv4.conf.default.rp_filter", "0"),
	)
}

func (s *bfdStage) cable() error {
	for i := range s.Uplinks {
		port, err := bridgedCable(plug{s.host, bfdUplink(i)}, s.middle, plug{s.leaf, bfdDownlink(i)})
		if err != nil {
			return err
		}
		s.ports = append(s.ports, port)
		err = errors.Join(
			s.host.AddAddress(bfdUplink(i), bfdHostEnd(i).String()+"/64"),
			s.leaf.AddAddress(bfdDownlink(i), bfdLeafEnd(i).String()+"/64"))
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *bfdStage) startLeaves() error {
	var peers []netip.Addr
	for i := range s.Uplinks {
		cfg := blast.Config{
			NS: s.leaf, Link: bfdDownlink(i), Addr: bfdLeafEnd(i), AS: uint32(65001 + i),
			RouterID: netip.AddrFrom4([4]byte{10, 255, 255, byte(1 + i)}), HoldTime: stageHold, Eager: true,
		}
		if i < 2 {
			cfg.Table = s.Table
		}
		l, err := blast.Start(cfg)
		if err != nil {
			return err
		}
		s.leaves = append(s.leaves, l)
		peers = append(peers, bfdHostEnd(i).WithZone(bfdDownlink(i)))
	}
	var err error
	s.peer, err = s.startPeer(peers)
	return err
}

// awaitReady waits until all routes lead over both leaves and every BFD session
// has the timers that are wanted.
func (s *bfdStage) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errTooLong)
	defer cancel()
	n := s.Table.Prefixes
	if _, err := s.watch.await(ctx, func(over [2]int) bool { return over == [2]int{n, n} }); err != nil {
		return fmt.Errorf("%s: %w", s.Daemon, err)
	}
	return s.awaitBFD(ctx)
}

func (s *bfdStage) awaitBFD(ctx context.Context) error {
	for {
		ready, sessions, err := s.bfdReady()
		if err != nil || ready {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s: waiting for BFD: %w: %+v", s.Daemon, err, sessions)
		}
	}
}

func (s *bfdStage) bfdReady() (bool, []bfdSession, error) {
	sessions, err := s.peer.sessions()
	for _, x := range sessions {
		if !x.Ready {
			return false, sessions, err
		}
	}
	return len(sessions) == s.Uplinks, sessions, err
}

// clear ends all that runs and removes the namespaces. The routes go with the
// links: the kernel would take long to remove them behind our back.
func (s *bfdStage) clear() error {
	var errs []error
	if s.watch != nil {
		s.watch.close()
	}
	if s.host != nil {
		errs = append(errs, killIn(s.host))
		for i := range s.ports {
			errs = append(errs, s.host.SetDown(bfdUplink(i)))
		}
	}
	for _, l := range s.leaves {
		l.Close()
	}
	if s.peer != nil {
		errs = append(errs, s.peer.close())
	}
	for _, p := range s.ports {
		p.view.close()
	}
	if s.view != nil {
		s.view.close()
	}
	for _, ns := range []*netns.NS{s.host, s.middle, s.leaf} {
		if ns != nil {
			errs = append(errs, unpin(ns))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// killIn kills the processes of a namespace.
func killIn(ns *netns.NS) error {
	pids, err := ns.Pids()
	errs := []error{err}
	for _, pid := range pids {
		if p, err := os.FindProcess(pid); err == nil {
			errs = append(errs, ignoreDone(p.Kill()))
		}
	}
	return errors.Join(errs...)
}
