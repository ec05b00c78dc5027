package uplink_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lastmile/bpf/uplink"
)

const interrupt = unix.SIGINT

// foreign puts an XDP program of somebody else on up0, as `ip link set up0 xdp` does.
func (b *bench) foreign(flags int) {
	b.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "foreign",
		Type:         ebpf.XDP,
		License:      "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	defer p.Close()
	b.setXDP(p.FD(), flags)
}

func (b *bench) setXDP(fd, flags int) {
	b.t.Helper()
	if err := b.host.Do(func() error {
		l, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(l, fd, flags)
	}); err != nil {
		b.t.Fatal(err)
	}
}

func TestAnotherProgramStays(t *testing.T) {
	for name, flags := range map[string]int{"native": unix.XDP_FLAGS_DRV_MODE, "generic": unix.XDP_FLAGS_SKB_MODE} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.breakLeaf()
			b.foreign(flags)
			before := b.shows(b.host, "up0")
			h := b.open(repair)
			for _, mode := range []uplink.Mode{uplink.Auto, uplink.Native, uplink.Generic} {
				s, err := b.tryAttach(h, mode)
				if s.Status != uplink.Occupied || !errors.Is(err, uplink.ErrOccupied) {
					t.Errorf("%s: %+v, %v", mode, s, err)
				}
			}
			if after := b.shows(b.host, "up0"); after != before || !strings.Contains(after, "xdp") {
				t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
			}
			for _, tcx := range modes(t, uplink.TCX) { // the other hook is free
				b.attach(h, tcx)
				b.eventually("the leaf answers, by tcx", func() bool { return b.pings() })
			}
			b.setXDP(-1, flags)
			for _, tcx := range modes(t, uplink.TCX) {
				if s := b.attach(h, uplink.Auto); s.Mode != tcx {
					t.Errorf("auto left %s for %s: what works stays", tcx, s.Mode)
				}
			}
			b.attach(h, uplink.Generic)
			b.eventually("the leaf answers", func() bool { return b.pings() })
		})
	}
}

func TestAnotherHostagent(t *testing.T) {
	b := newBench(t)
	h := b.start(repair)
	b.attach(h, uplink.Auto)
	if _, err := b.tryOpen(repair); !errors.Is(err, uplink.ErrRunning) {
		t.Errorf("the second got %v, want ErrRunning", err)
	}
	// One that keeps its pins elsewhere finds the interface occupied.
	elsewhere := b.open(uplink.Options{Repair: true, Dir: bpffs(t) + "/hostagent"})
	if s, err := b.tryAttach(elsewhere, uplink.Auto); s.Status != uplink.Occupied {
		t.Errorf("%+v, %v", s, err)
	}
	b.stop(h)
	b.attach(b.open(repair), uplink.Auto)
}

func TestSayingItAgainChangesNothing(t *testing.T) {
	b := newBench(t)
	h := b.open(repair)
	first := b.attach(h, uplink.Auto)
	shown := b.shows(b.host, "up0")
	if again := b.attach(h, uplink.Auto); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	if again := b.shows(b.host, "up0"); again != shown {
		t.Errorf("another program:\n%s\nfirst:\n%s", again, shown)
	}
}

// TestFailedReplacementIsNotForgotten: the program that cannot be replaced works on, and every Attach says so until one works.
func TestFailedReplacementIsNotForgotten(t *testing.T) {
	b := newBench(t)
	b.left(uplink.Auto)
	shown := b.shows(b.host, "up0")
	h := b.open(repair)
	mend := h.Break()
	for range 3 {
		s, err := b.tryAttach(h, uplink.Auto)
		if s.Status != uplink.Attached || err == nil || !strings.Contains(err.Error(), "attaching the BPF program to up0: loading ") {
			t.Errorf("%+v, %v; want an error and the old program", s, err)
		}
	}
	if now := b.shows(b.host, "up0"); now != shown {
		t.Errorf("another program:\n%s\nfirst:\n%s", now, shown)
	}
	mend()
	if s := b.attach(h, uplink.Auto); !s.Repair || b.shows(b.host, "up0") == shown {
		t.Errorf("not replaced: %+v", s)
	}
}

func TestModesChange(t *testing.T) {
	b := newBench(t)
	b.breakLeaf()
	h := b.open(repair)
	for _, mode := range modes(t,
		uplink.Generic, uplink.Native, uplink.TCX, uplink.Auto, uplink.Off, uplink.Native, uplink.Generic, uplink.Off, uplink.Off,
	) {
		s := b.attach(h, mode)
		if mode == uplink.Off {
			if s.Status != uplink.Disabled || b.pings() || strings.Contains(b.shows(b.host, "up0"), "xdp") {
				t.Errorf("%s: %+v", mode, s)
			}
			continue
		}
		if mode != uplink.Auto && s.Mode != mode {
			t.Errorf("asked for %s: %+v", mode, s)
		}
		b.eventually("the leaf answers with "+string(mode), func() bool { return b.pings() })
	}
}

// What an agent left is taken over also when its interface has gone, has come again or has another name.
func TestInterfaceIsMadeAgain(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "while it does not": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			h := b.start(repair)
			b.attach(h, uplink.Auto)
			if restart {
				b.stop(h)
			}
			index := b.index()
			b.run(b.host, "ip link delete up0")
			if !restart {
				if s, err := h.Attach("up0", index, uplink.Auto); s.Status != uplink.Failed || err == nil {
					t.Errorf("attached to an interface that is not there: %+v", s)
				}
			}
			// The same index again is what a stale pin could be mistaken by.
			b.run(b.host, fmt.Sprintf("ip link add up0 index %d type veth peer port netns %s", index, b.leaf.Name))
			b.run(b.host, "ip link set up0 up")
			b.run(b.leaf, "ip link set port up")
			b.addresses()
			b.breakLeaf()
			if restart {
				h = b.open(repair)
			} else {
				defer h.Close()
			}
			b.attach(h, uplink.Auto)
			b.eventually("the leaf answers", func() bool { return b.pings() })
		})
	}
}

func TestInterfaceIsRenamed(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "while it does not": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			h := b.start(repair)
			b.attach(h, uplink.Native)
			if restart {
				b.stop(h)
				h = b.open(repair)
			} else {
				defer h.Close()
			}
			index := b.index()
			b.run(b.host, "ip link set up0 down")
			b.run(b.host, "ip link set up0 name fabric.0")
			err := b.host.Do(func() error {
				s, err := h.Attach("fabric.0", index, uplink.Auto)
				if s.Status != uplink.Attached || s.Mode != uplink.Native {
					t.Errorf("%+v", s)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Detach("up0"); err != nil { // its name has gone
				t.Fatal(err)
			}
			if shown := b.shows(b.host, "fabric.0"); !strings.Contains(shown, "xdp") {
				t.Errorf("the program has gone:\n%s", shown)
			}
			if names, err := h.Names(); err != nil || len(names) != 1 || names[0] != "fabric.0" {
				t.Errorf("names %v (%v)", names, err)
			}
		})
	}
}

func TestDetachAllLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.left(uplink.Auto)
	if shown := b.shows(b.host, "up0"); !strings.Contains(shown, "xdp") {
		t.Fatalf("the program ended with the process:\n%s", shown)
	}
	// As `hostagent repair detach` does it: another process, that attached nothing.
	h := b.open(repair)
	if err := h.DetachAll(); err != nil {
		t.Fatal(err)
	}
	if shown := b.shows(b.host, "up0"); strings.Contains(shown, "xdp") {
		t.Errorf("still there:\n%s", shown)
	}
	if left, err := os.ReadDir(b.root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestWithoutPins(t *testing.T) {
	b := newBench(t)
	b.breakLeaf()
	o := repair
	o.Dir = t.TempDir() + "/hostagent"
	h := b.start(o)
	if s := b.attach(h, uplink.Auto); s.Unpinned == nil || !strings.Contains(s.Unpinned.Error(), "bpf file system") {
		t.Errorf("%+v", s)
	}
	b.eventually("the leaf answers", func() bool { return b.pings() })
	b.stop(h)
	b.eventually("the program ends with the process", func() bool { return !strings.Contains(b.shows(b.host, "up0"), "xdp") })
}

func TestInterfaceIsNotThere(t *testing.T) {
	b := newBench(t)
	h := b.open(repair)
	err := b.host.Do(func() error {
		s, err := h.Attach("up9", 9999, uplink.Auto)
		if s.Status != uplink.Failed {
			t.Errorf("%+v", s)
		}
		return err
	})
	if err == nil || !strings.HasPrefix(err.Error(), "attaching the BPF program to up9: native: ") {
		t.Errorf("error %v", err)
	}
}
