package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

const ready = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP

// A nic is a network interface as the kernel names it.
type nic struct {
	index int
	name  string
}

// link builds RTM_NEWLINK or RTM_DELLINK as the kernel sends it.
func link(kind uint16, of nic, flags, carrierDowns uint32) syscall.NetlinkMessage {
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(of.index))
	binary.NativeEndian.PutUint32(header[8:], flags)
	b := new(batch)
	b.begin(kind, 0, header...)
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, of.name)
	b.attr(unix.IFLA_IFNAME, padded)
	b.uint32(unix.IFLA_CARRIER_DOWN_COUNT, carrierDowns)
	return message(b)
}

func linkLocal(index int, flags uint32, addr string) syscall.NetlinkMessage {
	header := []byte{unix.AF_INET6, 64, byte(flags), unix.RT_SCOPE_LINK, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	b := new(batch)
	b.begin(unix.RTM_NEWADDR, 0, header...)
	b.addr(unix.IFA_ADDRESS, netip.MustParseAddr(addr))
	b.uint32(unix.IFA_FLAGS, flags)
	return message(b)
}

func message(b *batch) syscall.NetlinkMessage {
	messages, err := syscall.ParseNetlinkMessage(b.bytes)
	if err != nil {
		panic(err)
	}
	return messages[0]
}

func TestViewCountsLosses(t *testing.T) {
	const newLink, delLink = unix.RTM_NEWLINK, unix.RTM_DELLINK
	bridgePort := link(delLink, nic{2, "up0"}, 0, 0)
	bridgePort.Data[0] = unix.AF_BRIDGE
	up := func(index int, downs uint32, name string) syscall.NetlinkMessage {
		return link(newLink, nic{index, name}, ready, downs)
	}
	type messages = []syscall.NetlinkMessage
	tests := []struct {
		name     string
		messages messages
		up       bool
		losses   uint64
	}{
		{"never up",
			messages{link(newLink, nic{2, "up0"}, 0, 1), link(newLink, nic{2, "up0"}, unix.IFF_UP, 2)}, false, 0},
		{"down and up",
			messages{up(2, 1, "up0"), link(newLink, nic{2, "up0"}, unix.IFF_UP, 2), up(2, 2, "up0")}, true, 1},
		{"carrier gone before the operational state follows",
			messages{up(2, 1, "up0"), link(newLink, nic{2, "up0"}, unix.IFF_UP|unix.IFF_RUNNING, 2), link(newLink, nic{2, "up0"}, unix.IFF_UP, 2)},
			false, 1},
		{"set down without a carrier loss",
			messages{up(2, 1, "up0"), link(newLink, nic{2, "up0"}, 0, 1)}, false, 1},
		{"too quick for a message",
			messages{up(2, 1, "up0"), up(2, 2, "up0")}, true, 1},
		{"a bridge loses its port",
			messages{up(2, 1, "up0"), bridgePort}, true, 0},
		{"removed and made anew",
			messages{up(2, 1, "up0"), link(newLink, nic{2, "up0"}, 0, 2), up(2, 2, "up0"), link(delLink, nic{2, "up0"}, 0, 0), up(3, 1, "up0")},
			true, 2},
		{"made anew, removal not seen",
			messages{up(2, 1, "up0"), up(3, 1, "up0")}, true, 1},
		{"renamed into the place of another",
			messages{up(2, 1, "up0"), up(3, 1, "new"), up(2, 1, "old"), up(3, 1, "up0")}, true, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newView()
			for _, m := range test.messages {
				if err := v.apply(m); err != nil {
					t.Fatal(err)
				}
			}
			if got := v.state().Links["up0"]; got.Up != test.up || got.Losses != test.losses {
				t.Errorf("up %v losses %d, want %v and %d", got.Up, got.Losses, test.up, test.losses)
			}
		})
	}
}

func TestViewChoosesLinkLocal(t *testing.T) {
	const tentative, optimistic, duplicate = unix.IFA_F_TENTATIVE, unix.IFA_F_OPTIMISTIC, unix.IFA_F_DADFAILED
	tests := []struct {
		name    string
		flags   map[string]uint32
		want    string
		problem error
	}{
		{"tentative", map[string]uint32{"fe80::1": tentative}, "", nil},
		{"optimistic", map[string]uint32{"fe80::1": tentative | optimistic}, "fe80::1%up0", nil},
		{"duplicate", map[string]uint32{"fe80::1": tentative | duplicate}, "", ErrDuplicateAddress},
		{"one of two is a duplicate", map[string]uint32{"fe80::1": tentative | duplicate, "fe80::2": 0}, "fe80::2%up0", nil},
		{"the lowest", map[string]uint32{"fe80::3": 0, "fe80::2": 0, "fe80::1": tentative}, "fe80::2%up0", nil},
		{"none but global", map[string]uint32{"2001:db8::1": 0}, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newView()
			messages := []syscall.NetlinkMessage{link(unix.RTM_NEWLINK, nic{2, "up0"}, unix.IFF_UP, 0)}
			for addr, flags := range test.flags {
				messages = append(messages, linkLocal(2, flags, addr))
			}
			for _, m := range messages {
				if err := v.apply(m); err != nil {
					t.Fatal(err)
				}
			}
			l := v.state().Links["up0"]
			if got := strings.ReplaceAll(l.LinkLocal.String(), "invalid IP", ""); got != test.want || l.Problem != test.problem {
				t.Errorf("%q, problem %v; want %q, %v", got, l.Problem, test.want, test.problem)
			}
		})
	}
}

// onLoopback builds RTM_NEWADDR or RTM_DELADDR of an address on link 1, made at the given time.
func onLoopback(kind uint16, cidr string, created, flags uint32) syscall.NetlinkMessage {
	p := netip.MustParsePrefix(cidr)
	family := byte(unix.AF_INET6)
	if p.Addr().Is4() {
		family = unix.AF_INET
	}
	info := make([]byte, 16)
	binary.NativeEndian.PutUint32(info[8:], created)
	b := new(batch)
	b.begin(kind, 0, family, byte(p.Bits()), byte(flags), unix.RT_SCOPE_UNIVERSE, 1, 0, 0, 0)
	b.addr(unix.IFA_ADDRESS, p.Addr())
	b.attr(unix.IFA_CACHEINFO, info)
	b.uint32(unix.IFA_FLAGS, flags)
	return message(b)
}

func TestViewOfLoopback(t *testing.T) {
	const add, del = unix.RTM_NEWADDR, unix.RTM_DELADDR
	type messages = []syscall.NetlinkMessage
	tests := []struct {
		name     string
		messages messages
		want     string
		removals uint64
	}{
		{"the older ones first",
			messages{onLoopback(add, "c0d1::1/128", 1, 0), onLoopback(add, "10.0.0.9/32", 2, 0), onLoopback(add, "10.0.0.2/24", 3, 0)},
			"[10.0.0.9/32 10.0.0.2/32 c0d1::1/128]", 0},
		{"past the preferred lifetime",
			messages{onLoopback(add, "10.0.0.9/32", 1, unix.IFA_F_DEPRECATED), onLoopback(add, "10.0.0.2/32", 2, 0)},
			"[10.0.0.2/32 10.0.0.9/32]", 0},
		{"no global ones",
			messages{onLoopback(add, "127.0.0.2/8", 1, 0), onLoopback(add, "169.254.0.1/32", 1, 0), onLoopback(add, "fe80::1/64", 1, 0)},
			"[]", 0},
		{"removed", messages{onLoopback(add, "10.0.0.2/32", 1, 0), onLoopback(del, "10.0.0.2/32", 1, 0)}, "[]", 1},
		{"removed twice", messages{onLoopback(del, "10.0.0.2/32", 1, 0)}, "[]", 0},
		{"other lifetimes", messages{onLoopback(add, "10.0.0.2/32", 1, 0), onLoopback(add, "10.0.0.2/32", 1, 0)}, "[10.0.0.2/32]", 0},
		{"made anew, removal not seen",
			messages{onLoopback(add, "10.0.0.2/32", 1, 0), onLoopback(add, "10.0.0.2/32", 5, 0)}, "[10.0.0.2/32]", 1},
		{"in two subnets, one removed",
			messages{onLoopback(add, "10.0.0.2/32", 1, 0), onLoopback(add, "10.0.0.2/24", 1, 0), onLoopback(del, "10.0.0.2/24", 1, 0)},
			"[10.0.0.2/32]", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newView()
			for _, m := range append(messages{link(unix.RTM_NEWLINK, nic{1, "lo"}, ready|unix.IFF_LOOPBACK, 0)}, test.messages...) {
				if err := v.apply(m); err != nil {
					t.Fatal(err)
				}
			}
			s := v.state()
			if got := fmt.Sprint(s.Loopback); got != test.want || s.Removals != test.removals {
				t.Errorf("%s, %d removals; want %s, %d", got, s.Removals, test.want, test.removals)
			}
		})
	}
}

// TestWatchSurvivesOverrun has a first socket that is small and full before anybody reads it.
func TestWatchSurvivesOverrun(t *testing.T) {
	host, leaf := netns.ForTest(t, "host"), netns.ForTest(t, "leaf")
	if err := netns.Veth(host, "up0", leaf, "port"); err != nil {
		t.Fatal(err)
	}
	w := NewWatcher(slog.New(slog.DiscardHandler))
	const failed, answers, tidied = "fe80::dead", "fe80::1", "fe80::2"
	up0 := unresolved(t, host, failed, unix.NUD_FAILED)
	unresolved(t, host, answers, unix.NUD_PERMANENT)
	for _, addr := range []string{answers, tidied} { // as was so before the overrun
		w.view.failed[neighbour{up0, netip.MustParseAddr(addr)}] = true
	}
	if err := w.view.apply(link(unix.RTM_NEWLINK, nic{999, "gone"}, ready, 1)); err != nil { // and nobody heard of its removal
		t.Fatal(err)
	}
	w.subscribe = func() (*conn, error) {
		w.subscribe = subscribe
		c, err := subscribe()
		if err != nil {
			return nil, err
		}
		err = c.raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4096)
		})
		return c, errors.Join(err, flood(host))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- host.Do(func() error { return w.Run(ctx) }) }()
	deadline := time.After(time.Minute)
	for s := (State{}); len(s.Loopback) < floodSize || !s.Links["up0"].Up || fmt.Sprint(s.Unreachable) != "[fe80::2%up0 fe80::dead%up0]"; {
		select {
		case s = <-w.News():
			if _, ok := s.Links["gone"]; ok {
				t.Errorf("a link that is gone: %v", s.Links)
			}
		case <-deadline:
			t.Fatalf("%d of %d addresses seen, unreachable %v", len(s.Loopback), floodSize, s.Unreachable)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := w.Overruns(); n != 1 {
		t.Errorf("%d overruns", n)
	}
}

// unresolved gives the namespace an entry for a neighbour on up0, whose index it returns.
func unresolved(t *testing.T, ns *netns.NS, addr string, state int) (index int) {
	t.Helper()
	err := ns.Do(func() error {
		up0, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		index = up0.Attrs().Index
		n := &netlink.Neigh{LinkIndex: index, IP: net.ParseIP(addr), State: state}
		if state == unix.NUD_PERMANENT {
			n.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, 0, 1}
		}
		return netlink.NeighSet(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

const floodSize = 1000

// flood gives the loopback device of the namespace floodSize addresses.
func flood(ns *netns.NS) error {
	return ns.Do(func() error {
		for i := range floodSize {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 1, byte(i/250), byte(i%250+1)), Mask: net.CIDRMask(32, 32)}}
			if err := netlink.AddrAdd(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}, addr); err != nil {
				return err
			}
		}
		return nil
	})
}

func FuzzView(f *testing.F) {
	for _, m := range []syscall.NetlinkMessage{link(unix.RTM_NEWLINK, nic{2, "up0"}, ready, 1), linkLocal(2, 0, "fe80::1")} {
		f.Add(m.Header.Type, m.Data)
	}
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		v := newView()
		if err := v.apply(link(unix.RTM_NEWLINK, nic{2, "up0"}, ready, 1)); err != nil {
			t.Fatal(err)
		}
		_ = v.apply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data})
		v.generation++
		v.sweep()
		if s := v.state(); len(s.Links) != 0 || len(s.Loopback) != 0 {
			t.Errorf("left after a reading that found nothing: %+v", s)
		}
	})
}
