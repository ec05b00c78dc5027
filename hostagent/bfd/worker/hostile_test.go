package worker_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// throw sends a UDP payload from the leaf to the server's BFD port.
func (c *cable) throw(t *testing.T, payload []byte, hopLimit int) {
	t.Helper()
	err := c.leaf.Do(func() error {
		conn, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: c.serverAddr.AsSlice(), Port: bfd.Port, Zone: "swp1"})
		if err != nil {
			return err
		}
		defer conn.Close()
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		var optErr error
		if err := raw.Control(func(fd uintptr) {
			optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hopLimit)
		}); err != nil {
			return err
		}
		if optErr != nil {
			return optErr
		}
		_, err = conn.Write(payload)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostilePackets throws what would take a session down, were it believed,
// at one that is up.
func TestHostilePackets(t *testing.T) {
	t.Parallel()
	c, d, a := besideFRR(t, 200*time.Millisecond, settings{})
	s := a.session()
	for name, test := range hostilePackets(s.Discriminator) {
		before := a.session().Drops[test.drop]
		for range 10 {
			c.throw(t, test.payload, test.hopLimit)
		}
		eventually(t, "10 drops of "+name, func() bool { return a.session().Drops[test.drop] == before+10 })
	}
	if s := a.session(); s.State != bfd.Up || s.Ups != 1 {
		t.Errorf("the session did not stay up: %+v", s)
	}
	if p := d.show(); p.SessionDownEvents != 0 {
		t.Errorf("FRR lost the session %d times", p.SessionDownEvents)
	}

	// One that is of no session is counted with the link.
	if err := c.leaf.AddAddress("swp1", "fe80::bad/64"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.leaf.Run(t.Context(), "ip", "addr", "change", "fe80::1/64", "dev", "swp1", "preferred_lft", "0"); err != nil {
		t.Fatal(err)
	}
	c.throw(t, adminDown.Append(nil), 255)
	eventually(t, "a packet of a stranger", func() bool { return a.session().Link.Drops[bfd.DropPeer] > 0 })
}

// thrown is a datagram, and for what it is dropped.
type thrown struct {
	payload  []byte
	hopLimit int
	drop     bfd.Drop
}

var adminDown = bfd.Packet{State: bfd.AdminDown, Multiplier: 3, MyDiscriminator: 7, DesiredMinTx: time.Second, RequiredMinRx: time.Second}

// hostilePackets is what would end a session of ours with that discriminator, were it believed.
func hostilePackets(discriminator uint32) map[string]thrown {
	down, stranger := adminDown, adminDown
	down.State, down.YourDiscriminator = bfd.Down, discriminator
	stranger.YourDiscriminator = discriminator + 1
	garbage := make([]byte, 1200)
	for i := range garbage {
		garbage[i] = byte(i * 7)
	}
	return map[string]thrown{
		"forwarded AdminDown": {adminDown.Append(nil), 64, bfd.DropHopLimit},
		"forwarded Down":      {down.Append(nil), 254, bfd.DropHopLimit},
		"other discriminator": {stranger.Append(nil), 255, bfd.DropYourDiscriminator},
		"empty":               {nil, 255, bfd.DropLength},
		"garbage":             {garbage, 255, bfd.DropVersion},
		"cut short":           {down.Append(nil)[:20], 255, bfd.DropLength},
	}
}

// TestFlood: what a stranger on the link sends costs packets at most, and is
// counted.
func TestFlood(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)})
	a.await(bfd.Up)
	const packets = 5000
	err := c.leaf.Do(func() error {
		conn, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: c.serverAddr.AsSlice(), Port: bfd.Port, Zone: "swp1"})
		if err != nil {
			return err
		}
		defer conn.Close()
		for range packets {
			if _, err := conn.Write(make([]byte, bfd.PacketLen)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a count of all packets", func() bool {
		s := a.session()
		return s.Drops[bfd.DropHopLimit]+s.Link.Lost >= packets
	})
	if s := a.session(); s.State != bfd.Up || s.Ups != 1 {
		t.Errorf("the session did not stay up: %+v", s)
	}
}

func TestEveryReasonHasACounter(t *testing.T) {
	t.Parallel()
	if n := len(bfd.Drops()); n >= len(worker.Drops{}) {
		t.Errorf("%d reasons to drop a packet, and room for %d", n, len(worker.Drops{})-1)
	}
}
