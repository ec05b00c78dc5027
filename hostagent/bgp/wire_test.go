package bgp_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/lab/netns"
)

// A wire is a TCP connection on which a test says, message by message, what a
// leaf says. The messages are GoBGP's.
type wire struct {
	net.Conn
	r *bufio.Reader
}

// port is the place of a leaf that is played by the test: fe80::1 on swp1.
type port struct {
	t    testing.TB
	ns   *netns.NS
	zone string // names are known in the test's own namespace only
}

// newPort is a server with a running speaker, linked to a leaf that is played.
func newPort(t *testing.T) (*speaker, *netns.NS, port) {
	t.Helper()
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	return startSpeaker(t, host, serverConfig()), host, at(t, leaf)
}

func at(t testing.TB, leaf *netns.NS) port {
	t.Helper()
	p := port{t: t, ns: leaf}
	p.do(func() error {
		ifi, err := net.InterfaceByName("swp1")
		if err == nil {
			p.zone = strconv.Itoa(ifi.Index)
		}
		return err
	})
	return p
}

func (p port) do(fn func() error) {
	p.t.Helper()
	if err := p.ns.Do(fn); err != nil {
		p.t.Fatal(err)
	}
}

func (p port) tcp(addr string, port int) *net.TCPAddr {
	a := netip.MustParseAddr(addr).WithZone(p.zone)
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port)))
}

// listen listens for the server.
func (p port) listen() *net.TCPListener {
	p.t.Helper()
	var l *net.TCPListener
	p.do(func() (err error) {
		l, err = net.ListenTCP("tcp6", p.tcp("fe80::1", 179))
		return err
	})
	p.t.Cleanup(func() { l.Close() })
	return l
}

// accept returns the server's next connection.
func (p port) accept(l *net.TCPListener) *wire {
	p.t.Helper()
	l.SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	return p.wire(c)
}

// dial connects to the server.
func (p port) dial(from, to string, port int) (c *net.TCPConn, err error) {
	err = p.ns.Do(func() (err error) {
		c, err = net.DialTCP("tcp6", p.tcp(from, 0), p.tcp(to, port))
		return err
	})
	return c, err
}

// call connects to the server as its leaf does.
func (p port) call() *wire {
	p.t.Helper()
	c, err := p.dial("fe80::1", "fe80::a", 179)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.wire(c)
}

func (p port) wire(c net.Conn) *wire {
	p.t.Cleanup(func() { c.Close() })
	return &wire{c, bufio.NewReader(c)}
}

func (w *wire) send(m *packet.BGPMessage) error {
	b, err := m.Serialize()
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// receive returns the next message.
func (w *wire) receive() (*packet.BGPMessage, error) {
	w.SetReadDeadline(time.Now().Add(patience))
	header := make([]byte, packet.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(w.r, header); err != nil {
		return nil, err
	}
	var h packet.BGPHeader
	if err := h.DecodeFromBytes(header); err != nil {
		return nil, err
	}
	body := make([]byte, int(h.Len)-packet.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(w.r, body); err != nil {
		return nil, err
	}
	return packet.ParseBGPBody(&h, body)
}

// expect receives messages of these types.
func (w *wire) expect(types ...uint8) (m *packet.BGPMessage, err error) {
	for _, want := range types {
		if m, err = w.receive(); err != nil {
			return nil, fmt.Errorf("waiting for a message of type %d: %w", want, err)
		}
		if m.Header.Type != want {
			return nil, fmt.Errorf("message of type %d: %+v, want type %d", m.Header.Type, m.Body, want)
		}
	}
	return m, nil
}

// expectLastWord receives a NOTIFICATION, and then nothing.
func (w *wire) expectLastWord(t *testing.T, code, subcode uint8) {
	t.Helper()
	m, err := w.expect(packet.BGP_MSG_NOTIFICATION)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Body.(*packet.BGPNotification); n.ErrorCode != code || n.ErrorSubcode != subcode {
		t.Errorf("notification %d/%d, want %d/%d", n.ErrorCode, n.ErrorSubcode, code, subcode)
	}
	if m, err := w.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the notification: %v, %v", m, err)
	}
}

// hello is a leaf's OPEN.
func hello(as uint32, id string) *packet.BGPMessage {
	capabilities := []packet.ParameterCapabilityInterface{
		packet.NewCapMultiProtocol(packet.RF_IPv4_UC),
		packet.NewCapMultiProtocol(packet.RF_IPv6_UC),
		packet.NewCapFourOctetASNumber(as),
		packet.NewCapExtendedNexthop([]*packet.CapExtendedNexthopTuple{
			packet.NewCapExtendedNexthopTuple(packet.RF_IPv4_UC, packet.AFI_IP6),
		}),
	}
	m, err := packet.NewBGPOpenMessage(uint16(min(as, packet.AS_TRANS)), 9, netip.MustParseAddr(id),
		[]packet.OptionParameterInterface{packet.NewOptionParameterCapability(capabilities)})
	if err != nil {
		panic(err)
	}
	return m
}

// expectEventually receives messages until one of this type comes.
func (w *wire) expectEventually(want uint8) (m *packet.BGPMessage, err error) {
	for {
		if m, err = w.receive(); err != nil || m.Header.Type == want {
			return m, err
		}
	}
}

// establish takes the connection to Established.
func (w *wire) establish(open *packet.BGPMessage) error {
	if err := w.send(open); err != nil {
		return err
	}
	if _, err := w.expect(packet.BGP_MSG_OPEN, packet.BGP_MSG_KEEPALIVE); err != nil {
		return err
	}
	return w.send(packet.NewBGPKeepAliveMessage())
}

// A rival is a leaf that resolves collisions at once (RFC 4271 section 6.8),
// as FRR does.
type rival struct {
	id string

	mu    sync.Mutex
	state map[*wire]int // 1 OpenSent, 2 OpenConfirm, 3 Established
	ours  map[*wire]bool
}

func newRival(id string) *rival {
	return &rival{id: id, state: map[*wire]int{}, ours: map[*wire]bool{}}
}

// begin registers a connection, which is then in OpenSent.
func (r *rival) begin(w *wire, dialled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state[w], r.ours[w] = 1, dialled
}

func (r *rival) sessions() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, state := range r.state {
		if state == 3 {
			n++
		}
	}
	return n
}

// enter takes a connection to a state.
func (r *rival) enter(w *wire, state int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state[w] = state
}

// wins resolves the collision of w, on which the server's OPEN has come.
func (r *rival) wins(w *wire, server netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	dominant := netip.MustParseAddr(r.id).Compare(server) > 0
	for other, state := range r.state {
		if other == w {
			continue
		}
		if state == 3 || r.ours[w] != dominant && r.ours[other] == dominant {
			return false
		}
		r.hangUp(other)
	}
	r.state[w] = 2
	return true
}

func (r *rival) hangUp(w *wire) {
	delete(r.state, w)
	w.send(packet.NewBGPNotificationMessage(packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION, nil))
	w.Close()
}

// speak carries a connection that has begun to its end.
func (r *rival) speak(w *wire) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.state, w)
		w.Close()
	}()
	if w.send(hello(65001, r.id)) != nil {
		return
	}
	m, err := w.expect(packet.BGP_MSG_OPEN)
	if err != nil {
		return
	}
	if !r.wins(w, m.Body.(*packet.BGPOpen).ID) {
		w.send(packet.NewBGPNotificationMessage(packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION, nil))
		return
	}
	if w.send(packet.NewBGPKeepAliveMessage()) != nil {
		return
	}
	if _, err := w.expect(packet.BGP_MSG_KEEPALIVE); err != nil {
		return
	}
	r.enter(w, 3)
	for err == nil {
		if m, err = w.receive(); err == nil && m.Header.Type == packet.BGP_MSG_NOTIFICATION {
			return
		}
	}
}
