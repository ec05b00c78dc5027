// Package blast is a leaf that is nothing but one BGP session and a whole table
// to send in it: fast, and the same for whoever is at the other end. The table
// is encoded before the session is up, so that what is measured is the receiver.
//
// It waits to be called on its link-local address, as an unnumbered leaf may,
// and advertises itself as a router, by which unnumbered peers find it.
package blast

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"lastmile/lab/netns"
)

// Config says where a leaf is and who.
type Config struct {
	NS       *netns.NS
	Link     string     // the interface to the server
	Addr     netip.Addr // its link-local address, without zone
	AS       uint32     // one of four octets is fine
	RouterID netip.Addr
	HoldTime time.Duration // whole seconds, and no more than the peer's: KEEPALIVEs are sent three times as often
	Table    Table
	Eager    bool // send the table as soon as a session is up, every time
}

// A Leaf is a running one.
type Leaf struct {
	cfg      Config
	messages []byte // the table as it goes over the wire
	listener net.Listener
	adverts  *advertiser
	up       chan struct{} // closed when the first session is Established
	running  sync.WaitGroup

	mu      sync.Mutex
	session net.Conn // the present one, nil for none
	lost    bool     // no more sessions
}

// Start starts a leaf. Close ends it.
func Start(cfg Config) (*Leaf, error) {
	l := &Leaf{cfg: cfg, messages: cfg.Table.encode(cfg.AS, cfg.Addr), up: make(chan struct{})}
	err := cfg.NS.Do(func() (err error) {
		ifi, err := net.InterfaceByName(cfg.Link)
		if err != nil {
			return err
		}
		// The index, not the name: package net remembers names, whatever the namespace.
		at := netip.AddrPortFrom(cfg.Addr.WithZone(strconv.Itoa(ifi.Index)), 179)
		if l.listener, err = net.Listen("tcp6", at.String()); err != nil {
			return err
		}
		l.adverts, err = newAdvertiser(ifi)
		return err
	})
	if err != nil {
		if l.listener != nil {
			l.listener.Close()
		}
		return nil, fmt.Errorf("starting a leaf in %s: %w", cfg.NS.Name, err)
	}
	l.running.Go(l.adverts.run)
	l.running.Go(l.accept)
	return l, nil
}

// Await returns when a session has been Established.
func (l *Leaf) Await(ctx context.Context) error {
	select {
	case <-l.up:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no session: %w", l.cfg.NS.Name, context.Cause(ctx))
	}
}

// Send sends the table and returns when TCP has taken all of it.
func (l *Leaf) Send() error { return l.write("sending", l.messages) }

// Withdraw withdraws the table and returns when TCP has taken all of that.
func (l *Leaf) Withdraw() error { return l.write("withdrawing", l.cfg.Table.withdrawals()) }

func (l *Leaf) write(doing string, messages []byte) error {
	l.mu.Lock()
	conn := l.session
	l.mu.Unlock()
	if conn == nil {
		return fmt.Errorf("%s: %s the table: the session has ended", l.cfg.NS.Name, doing)
	}
	if _, err := conn.Write(messages); err != nil {
		return fmt.Errorf("%s: %s the table: %w", l.cfg.NS.Name, doing, err)
	}
	return nil
}

// Flap withdraws the table and sends it again, over and over, with pauses, until
// ctx ends. It returns how often it did both. While there is no session it waits
// for one.
func (l *Leaf) Flap(ctx context.Context, pause time.Duration) (rounds int) {
	withdrawals := l.cfg.Table.withdrawals()
	for ctx.Err() == nil {
		l.mu.Lock()
		conn := l.session
		l.mu.Unlock()
		if conn != nil {
			// What cannot be written ends the session; Eager sends the next one
			// a whole table.
			_, err := conn.Write(withdrawals)
			wait(ctx, pause)
			if err == nil {
				_, err = conn.Write(l.messages)
			}
			if err == nil {
				rounds++
			}
		}
		wait(ctx, pause)
	}
	return rounds
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Up says if the session stands.
func (l *Leaf) Up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil
}

// Lose closes the session and takes no other, as a routing daemon does that is
// killed: the link stays up. It returns the moment before.
func (l *Leaf) Lose() (time.Time, error) {
	err := l.listener.Close()
	l.mu.Lock()
	conn := l.session
	l.session, l.lost = nil, true
	l.mu.Unlock()
	if conn == nil {
		return time.Time{}, errors.Join(err, fmt.Errorf("%s: there is no session to lose", l.cfg.NS.Name))
	}
	at := time.Now()
	return at, errors.Join(err, conn.Close())
}

// Close ends the leaf.
func (l *Leaf) Close() {
	l.listener.Close()
	l.mu.Lock()
	if l.session != nil {
		l.session.Close()
	}
	l.session, l.lost = nil, true
	l.mu.Unlock()
	l.adverts.close()
	l.running.Wait()
}

// accept serves one connection after the other.
func (l *Leaf) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.serve(conn)
		conn.Close()
	}
}

// serve opens a session and keeps it until either side ends it. Who calls
// again after one that failed gets another.
func (l *Leaf) serve(conn net.Conn) {
	if _, err := conn.Write(openMessage(l.cfg)); err != nil {
		return
	}
	in := bufio.NewReader(conn)
	for _, want := range []byte{typeOpen, typeKeepalive} {
		kind, err := skipMessage(in)
		if err != nil || kind != want {
			return
		}
		if kind == typeOpen {
			if _, err := conn.Write(keepalive); err != nil {
				return
			}
		}
	}
	if !l.adopt(conn) {
		return
	}
	done := make(chan struct{})
	l.running.Go(func() { l.keepAlive(conn, done) })
	if l.cfg.Eager {
		l.running.Go(func() { _, _ = conn.Write(l.messages) }) // one that fails ends the session
	}
	defer close(done)
	for {
		if kind, err := skipMessage(in); err != nil || kind == typeNotification {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == conn {
		l.session = nil
	}
}

// adopt makes the connection the session, unless there are to be no more.
func (l *Leaf) adopt(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return false
	}
	l.session = conn
	select {
	case <-l.up:
	default:
		close(l.up)
	}
	return true
}

// keepAlive sends KEEPALIVEs; one that comes into the table waits for its end,
// since a Write is not interrupted by another.
func (l *Leaf) keepAlive(conn net.Conn, done <-chan struct{}) {
	tick := time.NewTicker(l.cfg.HoldTime / 3)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if _, err := conn.Write(keepalive); err != nil {
				return
			}
		}
	}
}

// skipMessage reads a message and returns its type.
func skipMessage(in *bufio.Reader) (byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, err
	}
	size := int(binary.BigEndian.Uint16(header[16:]))
	if size < headerSize {
		return 0, fmt.Errorf("message of %d bytes", size)
	}
	_, err := in.Discard(size - headerSize)
	return header[18], err
}
