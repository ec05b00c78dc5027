package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// A stage is a server with an uplink to each of two leaves, which are nothing
// but senders of a table. Each run has a new one.
type stage struct {
	cfg    TableConfig
	dir    string
	host   *netns.NS
	leaves [2]*netns.NS
	blasts [2]*blast.Leaf
	ports  [2]int // interface indexes of the uplinks
	view   *kernelView
}

const (
	stageAddress = "10.0.1.1"
	stageAS      = 64512
	// stageHold is what the leaves offer, as all daemons do.
	stageHold = 9 * time.Second
)

// uplinkNames, and the link-local addresses at their ends.
var (
	uplinkNames = [2]string{"eth0", "eth1"}
	hostEnds    = [2]netip.Addr{netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b")}
	leafEnds    = [2]netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")}
)

// setStage builds namespaces and links.
func setStage(cfg TableConfig) (s *stage, err error) {
	s = &stage{cfg: cfg, dir: filepath.Join(StateRoot, cfg.Name)}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("building the namespaces: %w", err), takeDown(cfg.Name))
		}
	}()
	if s.host, err = netns.New(cfg.Name + "-host"); err != nil {
		return nil, err
	}
	if err := prepareStage(s.host); err != nil {
		return nil, err
	}
	for i := range s.leaves {
		if s.leaves[i], err = netns.New(fmt.Sprintf("%s-leaf%d", cfg.Name, i+1)); err != nil {
			return nil, err
		}
		if err := prepareStage(s.leaves[i]); err != nil {
			return nil, err
		}
		if err := s.cable(i); err != nil {
			return nil, err
		}
	}
	if err := s.host.AddAddress("lo", stageAddress+"/32"); err != nil {
		return nil, err
	}
	s.view, err = newKernelView(s.host)
	return s, err
}

func (s *stage) cable(i int) error {
	if err := netns.Veth(s.host, uplinkNames[i], s.leaves[i], "swp1"); err != nil {
		return err
	}
	err := errors.Join(
		s.host.AddAddress(uplinkNames[i], hostEnds[i].String()+"/64"),
		s.leaves[i].AddAddress("swp1", leafEnds[i].String()+"/64"))
	if err != nil {
		return err
	}
	return s.host.Do(func() error {
		ifi, err := net.InterfaceByName(uplinkNames[i])
		if err == nil {
			s.ports[i] = ifi.Index
		}
		return err
	})
}

// startLeaves lets the leaves wait for sessions, with a table each.
func (s *stage) startLeaves(t blast.Table) error {
	for i, ns := range s.leaves {
		l, err := blast.Start(blast.Config{
			NS: ns, Link: "swp1", Addr: leafEnds[i], AS: uint32(65001 + i),
			RouterID: netip.AddrFrom4([4]byte{10, 255, 255, byte(1 + i)}), HoldTime: stageHold, Table: t,
		})
		if err != nil {
			return err
		}
		s.blasts[i] = l
	}
	return nil
}

// awaitSessions waits for both.
func (s *stage) awaitSessions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, l := range s.blasts {
		if err := l.Await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitRoutes waits until all routes of the table lead as they should and
// returns since when they do. It looks at some until they do, then at all, and
// at what was missing until that does.
func (s *stage) awaitRoutes(ctx context.Context, t blast.Table, right func(devices) bool) (time.Time, error) {
	pending := samples(t.Prefixes)
	pause := 100 * time.Microsecond
	for {
		for len(pending) > 0 {
			over, err := s.view.routeTo(t.Prefix(pending[len(pending)-1]))
			if err != nil {
				return time.Time{}, err
			}
			if over != nil && right(over) {
				pending = pending[:len(pending)-1]
				continue
			}
			if err := sleep(ctx, pause); err != nil {
				return time.Time{}, fmt.Errorf("waiting for the routes, such as that to %s, which is over %v: %w",
					t.Prefix(pending[len(pending)-1]), over, err)
			}
			pause = min(pause*2, 2*time.Millisecond)
		}
		at := time.Now()
		missing, err := s.view.missing(t.Prefixes, t.Prefix, right)
		if err != nil || len(missing) == 0 {
			return at, err
		}
		pending = missing
	}
}

// samples are the numbers of some routes out of so many, the last first.
func samples(size int) []int {
	const most = 1000
	step := max(size/most, 1)
	var all []int
	for i := 0; i < size; i += step {
		all = append(all, i)
	}
	return append(all, size-1)
}

// clear ends all that runs and removes the namespaces. The routes go with the
// links: the kernel would take long to remove them behind our back.
func (s *stage) clear() error {
	errs := []error{killIn(s.host)}
	for i, l := range s.blasts {
		if l != nil {
			l.Close()
		}
		errs = append(errs, s.host.SetDown(uplinkNames[i]))
	}
	s.view.close()
	errs = append(errs, unpin(s.host))
	for _, ns := range s.leaves {
		errs = append(errs, ns.Delete())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
