package bgp_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/bgp"
	"lastmile/lab/netns"
)

// Both sides dial at once, again and again: there is one session each time, and
// it is made without a relapse.
func TestCollisionStorm(t *testing.T) {
	s, _, leaf := newPort(t)
	l := leaf.listen()
	var running sync.WaitGroup
	defer running.Wait()
	for round := range 200 {
		// Below and above ours, 10.0.1.1.
		r := newRival([]string{"10.0.0.9", "10.0.1.9"}[round%2])
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			// The leaf dials as soon as we have dialled, or at about the same time.
			r.collide(leaf, l, round%4 < 2)
		})
		from := len(s.log)
		s.add(leaf0)
		s.awaitState(leaf0, bgp.Established)
		await(t, "the leaf's side of the session", func() bool { return r.sessions() == 1 })
		s.delete(leaf0)
		s.awaitState(leaf0, bgp.Idle)
		l.SetDeadline(time.Unix(1, 0))
		<-done
		var states []bgp.State
		for _, line := range s.log[from:] {
			if line.State != nil {
				states = append(states, line.State.State)
			}
		}
		// Nothing but the deletion ends the session.
		if i := slices.Index(states, bgp.Established); i != len(states)-2 {
			t.Errorf("round %d: %v", round, states)
		}
	}
}

// collide takes calls until the listener's deadline, and makes some: with each that it takes, or one at any
// time.
func (r *rival) collide(leaf port, l *net.TCPListener, onAccept bool) {
	var calls sync.WaitGroup
	defer calls.Wait()
	call := func() {
		c, err := leaf.dial("fe80::1", "fe80::a", 179)
		if err != nil {
			return // the peer is not there yet, or no more
		}
		w := leaf.wire(c)
		r.begin(w, true)
		calls.Go(func() { r.speak(w) })
	}
	if !onAccept {
		calls.Go(func() {
			<-time.After(rand.N(35 * time.Millisecond))
			call()
		})
	}
	l.SetDeadline(time.Time{})
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed, or the deadline at the end of the round
		}
		w := leaf.wire(c)
		r.begin(w, false)
		if onAccept {
			call()
		}
		calls.Go(func() { r.speak(w) })
	}
}

// A leaf that is not configured yet refuses in several ways. It gets its
// session when it takes us, and what it said before ends nothing.
func TestLeafThatAcceptsLater(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	s.awaitState(leaf0, bgp.Active) // nobody listens
	l := leaf.listen()
	for range 3 {
		leaf.accept(l).Close()
	}
	s.awaitReason("connection closed by the peer before its OPEN: it may not have us as a neighbor")
	w := leaf.accept(l)
	if _, err := w.expect(packet.BGP_MSG_OPEN); err != nil {
		t.Fatal(err)
	}
	w.send(packet.NewBGPNotificationMessage(packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_REJECTED, nil))
	w.Close()
	s.awaitReason("notification received: code 6(cease) subcode 5(connection rejected)")
	if err := leaf.accept(l).establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
}

// awaitReason waits for an end of a connection that is told with the reason.
func (s *speaker) awaitReason(want string) {
	s.t.Helper()
	for s.awaitState(leaf0, bgp.Idle).Reason != want {
	}
}

// A session that the leaf loses without a word, or gives up, is made again by
// us, also if the leaf never dials.
func TestLeafThatResets(t *testing.T) {
	s, _, leaf := newPort(t)
	l := leaf.listen()
	s.add(leaf0)
	for _, end := range []struct {
		how    func(*wire)
		reason string
	}{
		{func(w *wire) { w.Close() }, "connection closed by the peer"},
		{func(w *wire) { w.Conn.(*net.TCPConn).SetLinger(0); w.Close() }, "connection closed by the peer"},
		{func(w *wire) {
			w.send(packet.NewBGPNotificationMessage(packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_ADMINISTRATIVE_RESET, nil))
		}, "notification received: code 6(cease) subcode 4(administrative reset)"},
		{func(w *wire) { w.Write(make([]byte, 19)) },
			"notification sent: code 1(header) subcode 1(connection not synchronized)"},
		{func(w *wire) { w.send(hello(65001, "10.255.255.1")) },
			"notification sent: code 5(fsm) subcode 3(receive unexpected message in established state)"},
	} {
		w := leaf.accept(l)
		if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
			t.Fatal(err)
		}
		s.awaitState(leaf0, bgp.Established)
		end.how(w)
		if got := s.awaitState(leaf0, bgp.Idle).Reason; got != end.reason {
			t.Errorf("reason %q, want %q", got, end.reason)
		}
	}
}

// A leaf that takes our connection and says nothing on it gets its session over
// its own, whoever has the say in collisions.
func TestHalfOpenConnection(t *testing.T) {
	for name, id := range map[string]string{"leaf dominates": "10.0.1.9", "we dominate": "10.0.0.9"} {
		t.Run(name, func(t *testing.T) {
			s, _, leaf := newPort(t)
			l := leaf.listen()
			s.add(leaf0)
			silent := leaf.accept(l)
			// Before we have begun to speak on a connection it may go without a word.
			if _, err := silent.expect(packet.BGP_MSG_OPEN); err != nil {
				t.Fatal(err)
			}
			if err := leaf.call().establish(hello(65001, id)); err != nil {
				t.Fatal(err)
			}
			s.awaitState(leaf0, bgp.Established)
			silent.expectLastWord(t, packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION)
		})
	}
}

// An Established session is not given up for another connection.
func TestSecondConnectionIsRefused(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	first := leaf.call()
	if err := first.establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	leaf.call().expectLastWord(t, packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION)
	if p := s.order(request{Peers: true}).Peers[0]; p.State != bgp.Established {
		t.Errorf("after the second connection: %+v", p)
	}
	s.delete(leaf0)
	first.expectLastWord(t, packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_PEER_DECONFIGURED)
}

func TestBadOpen(t *testing.T) {
	version := hello(65001, "10.255.255.1")
	version.Body.(*packet.BGPOpen).Version = 3
	hold := hello(65001, "10.255.255.1")
	hold.Body.(*packet.BGPOpen).HoldTime = 2
	s, _, leaf := newPort(t)
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	for name, test := range map[string]struct {
		open          *packet.BGPMessage
		code, subcode uint8
		reason        string
	}{
		"our own AS": {hello(64512, "10.255.255.1"), 2, 2, "refused: the peer's AS 64512 is our own"},
		"AS 0":       {hello(0, "10.255.255.1"), 2, 2, "refused: the peer's AS is 0"},
		"no ID":      {hello(65001, "0.0.0.0"), 2, 3, "refused: the peer's BGP identifier is 0.0.0.0"},
		"version":    {version, 2, 1, "refused: the peer speaks BGP version 3, not 4"},
		"hold time":  {hold, 2, 6, "refused: the peer's hold time is 2 s, less than 3 s"},
		"no OPEN": {packet.NewBGPKeepAliveMessage(), 5, 1,
			"notification sent: code 5(fsm) subcode 1(receive unexpected message in opensent state)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := leaf.call()
			if err := w.send(test.open); err != nil {
				t.Fatal(err)
			}
			// Not an UPDATE, nor so much as a KEEPALIVE.
			if _, err := w.expect(packet.BGP_MSG_OPEN); err != nil {
				t.Fatal(err)
			}
			w.expectLastWord(t, test.code, test.subcode)
			s.t = t
			s.awaitReason(test.reason)
		})
	}
	s.t = t
	w := leaf.call()
	w.Write([]byte("GET / HTTP/1.1\r\nHost: leaf\r\n\r\n"))
	if _, err := w.expect(packet.BGP_MSG_OPEN); err != nil {
		t.Fatal(err)
	}
	w.expectLastWord(t, packet.BGP_ERROR_MESSAGE_HEADER_ERROR, packet.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED)
	if err := leaf.call().establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
}

// Nobody but the leaf gets a word out of us.
func TestStrangers(t *testing.T) {
	s, host, leaf := newPort(t)
	if err := leaf.ns.AddAddress("swp1", "fe80::2/64"); err != nil {
		t.Fatal(err)
	}
	s.add(leaf0)
	c, err := leaf.dial("fe80::2", "fe80::a", 179)
	if err == nil {
		_, err = leaf.wire(c).receive()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection from another address: %v", err)
	}
	if p := s.order(request{Peers: true}).Peers[0]; p.ConnectionsRefused != 1 {
		t.Errorf("%d connections refused, want 1", p.ConnectionsRefused)
	}

	// As the system sees it: the port on the link, and one on the loopback.
	var gobgp int
	for _, where := range listening(t, host) {
		if loopback, ok := strings.CutPrefix(where, "127.0.0.1:"); ok && gobgp == 0 {
			gobgp, _ = strconv.Atoi(loopback)
		} else if where != "[fe80::a]%eth0:179" {
			t.Errorf("listening on %s", where)
		}
	}
	if gobgp == 0 {
		t.Fatal("GoBGP does not listen on 127.0.0.1")
	}
	if c, err := leaf.dial("fe80::1", "fe80::a", gobgp); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("GoBGP's port from outside: %v, %v", c, err)
	}
	err = host.Do(func() error {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", gobgp))
		if err == nil {
			_, err = leaf.wire(c).receive()
		}
		return err
	})
	if !errors.Is(err, io.EOF) {
		t.Errorf("GoBGP's port from the same machine: %v", err)
	}
}

// listening lists the TCP ports that somebody listens on, as ss sees them.
func listening(t *testing.T, ns *netns.NS) (all []string) {
	t.Helper()
	out, err := ns.Run(t.Context(), "ss", "-Htln")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.Fields(line)[3])
	}
	return all
}

// Another interface by the same name, with another address: what stands in our
// announcements is the address that we speak from.
func TestLinkIsMadeAnew(t *testing.T) {
	s, host, leaf := newPort(t)
	s.announce("10.0.1.1/32", "2001:db8::1/128")
	s.add(leaf0)
	if _, err := host.Run(t.Context(), "ip", "link", "delete", "eth0"); err != nil {
		t.Fatal(err)
	}
	if err := netns.Veth(host, "eth0", leaf.ns, "swp1"); err != nil {
		t.Fatal(err)
	}
	if err := host.AddAddress("eth0", "fe80::b/64"); err != nil {
		t.Fatal(err)
	}
	if err := leaf.ns.AddAddress("swp1", "fe80::1/64"); err != nil {
		t.Fatal(err)
	}
	leaf = at(t, leaf.ns)
	w := leaf.accept(leaf.listen())
	if from := w.RemoteAddr().(*net.TCPAddr); !from.IP.Equal(net.ParseIP("fe80::b")) {
		t.Errorf("connection from %s", from)
	}
	if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	var prefixes []string
	for len(prefixes) < 2 {
		m, err := w.receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Type != packet.BGP_MSG_UPDATE {
			continue
		}
		for _, a := range m.Body.(*packet.BGPUpdate).PathAttributes {
			if reach, ok := a.(*packet.PathAttributeMpReachNLRI); ok {
				prefixes = append(prefixes, reach.Value[0].NLRI.String())
				if reach.Nexthop.String() != "fe80::b" || reach.LinkLocalNexthop.IsValid() {
					t.Errorf("next hop %s, %s", reach.Nexthop, reach.LinkLocalNexthop)
				}
			}
		}
	}
	if got := listening(t, host); !slices.Contains(got, "[fe80::b]%eth0:179") {
		t.Errorf("listening on %v", got)
	}
	out, err := host.Run(t.Context(), "ss", "-Htni", "--tos", "dst", "[fe80::1]")
	if err != nil || !strings.Contains(string(out), "tclass:0xc0") {
		t.Errorf("the session's traffic class: %s (%v)", out, err)
	}
}

// The port may be free when we start, and taken on a link later.
func TestPortTakenOnALink(t *testing.T) {
	s, host, leaf := newPort(t)
	var index string
	err := host.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		index = strconv.Itoa(ifi.Index)
		l, err := net.Listen("tcp6", "[fe80::a%"+index+"]:179")
		if err == nil {
			leaf.t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "adding peer fe80::1%eth0: listening on TCP port 179 on link eth0: listen tcp6 [fe80::a%" + index + "]:179: " +
		"bind: address already in use (another BGP daemon, such as FRR or BIRD, has the port in this network namespace)"
	if got := s.refused(request{Add: &leaf0}); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := s.order(request{Peers: true}).Peers; len(got) != 0 {
		t.Errorf("a peer all the same: %+v", got)
	}
}
