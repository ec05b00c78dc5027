package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// A shower is small packets from the server to many destinations of the table,
// thousands a second, and what the leaves get of them. Each carries when it was
// sent.
type shower struct {
	conn     *net.UDPConn
	to       []netip.AddrPort
	buckets  [2]*bucket // by leaf
	sent     []int64    // when, in nanoseconds since 1970
	stopping context.CancelFunc
	running  sync.WaitGroup
}

// A bucket takes the packets that arrive at a leaf.
type bucket struct {
	fd      int
	ended   atomic.Bool
	arrived []int64 // when each was sent
}

const (
	showerPort  = 20000
	showerPorts = 64 // to which it goes: a flow each
	showerPause = 100 * time.Microsecond
	showerBurst = 2
)

// startShower begins to send.
func startShower(ctx context.Context, s *stage, t blast.Table) (*shower, error) {
	w := &shower{}
	for _, i := range samples(t.Prefixes) {
		w.to = append(w.to, netip.AddrPortFrom(t.Prefix(i).Addr(), 0))
	}
	for i, ns := range s.leaves {
		b, err := newBucket(ns, "swp1")
		if err != nil {
			return nil, err
		}
		w.buckets[i] = b
	}
	err := s.host.Do(func() (err error) {
		w.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(stageAddress)})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, b := range w.buckets {
		w.running.Go(b.fill)
	}
	ctx, w.stopping = context.WithCancel(ctx)
	w.running.Go(func() { w.pour(ctx) })
	return w, nil
}

// pour sends until ctx ends. The thread sleeps by itself: the runtime's timers
// are too coarse.
func (w *shower) pour(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	payload := make([]byte, 8)
	for n := 0; ctx.Err() == nil; {
		for range showerBurst {
			now := time.Now().UnixNano()
			binary.BigEndian.PutUint64(payload, uint64(now))
			to := netip.AddrPortFrom(w.to[n%len(w.to)].Addr(), uint16(showerPort+n%showerPorts))
			// What the kernel has no route for is lost like any other.
			_, _ = w.conn.WriteToUDPAddrPort(payload, to)
			w.sent = append(w.sent, now)
			n++
		}
		pause := unix.NsecToTimespec(showerPause.Nanoseconds())
		_ = unix.Nanosleep(&pause, nil)
	}
}

// stop ends it, when the last packets have arrived.
func (w *shower) stop() {
	w.stopping()
	time.Sleep(50 * time.Millisecond) // for what is under way
	for _, b := range w.buckets {
		b.ended.Store(true)
	}
	w.running.Wait()
	w.conn.Close()
}

// astray tells, of the packets sent after a moment, when the last was sent that
// did not come to the other leaf, and how many there were.
func (w *shower) astray(leaf int, after time.Time) (last time.Duration, wrong int) {
	from := after.UnixNano()
	good := map[int64]int{}
	for _, at := range w.buckets[1-leaf].arrived {
		if at >= from {
			good[at]++
		}
	}
	for _, at := range w.sent {
		if at < from {
			continue
		}
		if good[at] > 0 {
			good[at]--
			continue
		}
		wrong++
		last = time.Duration(at - from)
	}
	return last, wrong
}

// newBucket opens a packet socket on a leaf's port: the leaf has no route to
// where the packets are going.
func newBucket(ns *netns.NS, link string) (*bucket, error) {
	b := &bucket{}
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		const protocol = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8 // in network order
		if b.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol); err != nil {
			return err
		}
		tick := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
		return errors.Join(
			unix.Bind(b.fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifi.Index}),
			unix.SetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.SetsockoptTimeval(b.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: opening a packet socket: %w", ns.Name, err)
	}
	return b, nil
}

// fill takes packets until it is told to end.
func (b *bucket) fill() {
	defer unix.Close(b.fd)
	buf := make([]byte, 256)
	for !b.ended.Load() {
		n, _, err := unix.Recvfrom(b.fd, buf, 0)
		const headers = 20 + 8 // IPv4 and UDP
		if err != nil || n != headers+8 {
			continue
		}
		b.arrived = append(b.arrived, int64(binary.BigEndian.Uint64(buf[headers:])))
	}
}
