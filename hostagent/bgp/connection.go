package bgp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	// goodbye is how long the last of what we write may take.
	goodbye = 100 * time.Millisecond
	// farewell is how long the peer has to close a session that we have ended.
	farewell = time.Second
)

// A connection is one TCP connection with a peer, from its first byte to its
// last. It exchanges OPENs, waits until Run's goroutine has decided that it is
// the one that becomes the session, and then carries messages between the peer
// and a state machine of GoBGP's that is there for this session only.
type connection struct {
	peer     netip.Addr
	options  Options
	dialled  bool // by us
	tcp      *net.TCPConn
	ours     open          // our OPEN
	leaf     *framer       // what the peer sends
	machine  netip.Addr    // by which GoBGP knows the session
	attached *machine      // GoBGP's end of it, nil before there is one; run's
	chosen   chan struct{} // closed when this is to become the session
	end      context.CancelCauseFunc

	updates chan<- update // to Run's goroutine

	received, sent atomic.Uint64 // messages
	prefixes       atomic.Uint64 // that the peer announces now
	malformed      atomic.Uint64 // UPDATEs with an error that the session survived
	counters       *counters     // of the link

	// Owned by Run.
	state State // OpenSent, OpenConfirm or Established
	open  *open // the peer's, once it has come
}

// What a connection tells Run's goroutine.
type (
	opened struct {
		*connection
		open open
	}
	established struct{ *connection }
	ended       struct {
		*connection
		err error
	}
	parted struct{ *connection } // see part
)

// emitter hands an event to Run's goroutine, or drops it when ctx has ended.
// Events are acted upon in the order in which they are handed over.
type emitter func(ctx context.Context, event any) bool

// run carries the connection until either side or ctx ends it. The cause of
// ctx may be a *notification to end with. It leaves the connection half open,
// for the peer to close, and GoBGP's part as it is, for detach.
func (c *connection) run(running context.Context, cfg Config, g *gobgp, emit emitter) {
	defer c.tcp.CloseWrite()
	c.tcp.SetReadDeadline(time.Now().Add(cfg.HoldTime)) // for the OPEN
	ctx, fail := context.WithCancelCause(running)
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		c.tcp.SetReadDeadline(time.Unix(1, 0))
		c.tcp.SetWriteDeadline(time.Now().Add(goodbye))
	})
	defer func() {
		if !stop() {
			<-interrupted // lest it undo the deadline that part sets
		}
	}()
	theirs, err := c.greet(ctx, cfg, emit)
	if err == nil {
		err = c.join(ctx, g, theirs)
	}
	if err != nil {
		fail(err)
	} else {
		c.carry(ctx, fail, newTap(c, theirs, cfg), emit)
	}
	err = context.Cause(ctx)
	if n := lastWord(err); n != nil {
		c.counters.end("sent", n)
		c.tcp.SetWriteDeadline(time.Now().Add(goodbye))
		_ = c.write(n.message()) // it ends anyway
	}
	emit(running, ended{c, err})
}

// part waits until the peer has closed the session too: for a second at most, and for a
// moment once ctx has ended. A peer that meets a new connection before it has read our last
// word on the old one takes that for broken, and may keep our routes (RFC 4724 section 4.2):
// FRR 8.4.4 reads on another thread than it accepts. So does one that still sends and meets
// a closed socket: what it sends is read.
func (c *connection) part(ctx context.Context) {
	c.tcp.SetReadDeadline(time.Now().Add(farewell))
	stop := context.AfterFunc(ctx, func() { c.tcp.SetReadDeadline(time.Now().Add(goodbye)) })
	defer stop()
	_, _ = io.Copy(io.Discard, c.tcp) // to its end, whichever it is
}

// greet exchanges OPENs and waits to be chosen. It returns the peer's OPEN.
func (c *connection) greet(ctx context.Context, cfg Config, emit emitter) (open, error) {
	ours, err := c.ours.message()
	if err != nil {
		return open{}, err
	}
	if err := c.write(ours); err != nil {
		return open{}, err
	}
	m, err := c.leaf.next()
	if isTimeout(err) {
		return open{}, &notification{code: errHoldTimer, why: c.options.speechless()}
	} else if err != nil {
		return open{}, fmt.Errorf("%w: %w", errNoOpen, err)
	}
	c.got(m)
	switch m.kind() {
	case typeOpen:
	case typeNotification:
		return open{}, c.notified(m)
	default:
		return open{}, unexpected(m, OpenSent)
	}
	theirs, err := parseOpen(m.body())
	if err == nil {
		err = theirs.check(cfg.AS, c.options)
	}
	if err != nil {
		return open{}, err
	}
	c.tcp.SetReadDeadline(time.Time{}) // from now on GoBGP's hold timer runs
	emit(ctx, opened{c, theirs})
	select {
	case <-c.chosen:
		return theirs, nil
	case <-ctx.Done():
		return open{}, context.Cause(ctx)
	}
}

// join gives the peer a new state machine of GoBGP's.
func (c *connection) join(ctx context.Context, g *gobgp, theirs open) error {
	machine, err := g.attach(ctx, c.machine, theirs)
	if err != nil {
		return &notification{code: errCease, why: fmt.Sprintf("handing the session to GoBGP: %v", err)}
	}
	c.leaf.extended, machine.extended = theirs.extendedMessage, theirs.extendedMessage
	c.attached = machine
	return nil
}

// carry hands messages from the peer to the state machine and back until either
// has enough, or ctx ends; fail is told why, first by who was first.
func (c *connection) carry(ctx context.Context, fail context.CancelCauseFunc, t *tap, emit emitter) {
	stop := context.AfterFunc(ctx, func() { t.machine.tcp.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	down := make(chan struct{})
	go func() {
		defer close(down)
		if err := c.fromGoBGP(t.machine); !closed(err) {
			fail(err)
		} // else fromLeaf is to hear what the peer has said before it went
	}()
	if err := c.fromLeaf(ctx, t, emit); err != nil {
		fail(err)
	}
	<-down
}

// detach ends GoBGP's part. Its state machine goes before the connection to it:
// of one that loses its connection GoBGP 4.8 may leave a goroutine behind
// (cleanInfiniteChannel does not wait for what is still queued).
func (c *connection) detach(g *gobgp) {
	g.detach(c.machine)
	if c.attached != nil {
		c.attached.tcp.Close()
	}
}

// fromLeaf sees each message that the leaf sends after its OPEN, and hands it
// to the tap or to GoBGP. It returns nil if GoBGP takes no more: then that says
// why.
func (c *connection) fromLeaf(ctx context.Context, t *tap, emit emitter) error {
	state := OpenConfirm
	for {
		m, err := c.leaf.next()
		if err != nil {
			return err
		}
		c.got(m)
		switch kind := m.kind(); {
		case kind == typeNotification:
			return c.notified(m)
		case kind == typeOpen, state == OpenConfirm && kind != typeKeepalive:
			return unexpected(m, state)
		case state == OpenConfirm:
			// Before GoBGP hears it, so that no route comes before the session.
			emit(ctx, established{c})
			state = Established
		case kind == typeUpdate:
			if err := t.take(ctx, m); err != nil {
				return err
			}
			continue
		case kind == typeRouteRefresh && !t.theirs.mayRefresh(m.body()):
			continue
		}
		if _, err := t.machine.tcp.Write(m); err != nil {
			return nil
		}
	}
}

// fromGoBGP hands the leaf what GoBGP sends. It returns an error that is closed
// if the leaf takes no more.
func (c *connection) fromGoBGP(machine *machine) error {
	local := c.tcp.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	for {
		m, err := machine.next()
		if err != nil {
			return &notification{code: errCease, why: fmt.Sprintf("GoBGP ended the session: %v", err)}
		}
		switch m.kind() {
		case typeNotification:
			return notificationIn(m) // which is the last word
		case typeUpdate:
			if err := setNextHop(m, local); err != nil {
				return err
			}
		}
		if err := c.write(m); err != nil {
			return err
		}
	}
}

// refresh asks the leaf for all routes of the families (RFC 2918). An error is
// one that the session ends with.
func (c *connection) refresh(families []bgp.Family) {
	for _, family := range families {
		_ = c.write(newMessage(typeRouteRefresh, 0, byte(family.Afi()), 0, family.Safi()))
	}
}

// notified is the end of the connection by a NOTIFICATION of the peer's.
func (c *connection) notified(m message) error {
	n := notificationIn(m)
	c.counters.end("received", n)
	return received{n}
}

// got counts a message.
func (c *connection) got(m message) {
	c.received.Add(1)
	c.counters.received[m.kind()].Inc()
}

func (c *connection) write(m message) error {
	_, err := c.tcp.Write(m)
	c.sent.Add(1)
	c.counters.sent[m.kind()].Inc()
	return err
}
