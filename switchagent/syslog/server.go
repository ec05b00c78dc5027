package syslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxMessage     = 8 << 10 // RFC 5425 wants 8 KB of receivers; Junos sends less than 1 KB
	maxConnections = 8
	// idleTimeout ends a connection that a switch has left without a word.
	idleTimeout = time.Hour
	// pause is the least time between two messages that a busy sender is given, so that a flood
	// takes a bounded share of a core. What does not fit is lost, as syslog over UDP is.
	burst = 1000 // messages that come without a pause
	pause = time.Millisecond
)

// The results, for a metric.
const (
	Kick    = "kick"    // a port came up
	Other   = "other"   // about something else
	Refused = "refused" // from an address that is not allowed, or one connection too many
	Broken  = "broken"  // a TCP stream that is no syslog, or a message that is too long
)

// Results lists them.
var Results = []string{Kick, Other, Refused, Broken}

// Server hears messages.
type Server struct {
	Allow []netip.Prefix      // who is listened to
	Up    func(ifname string) // called for each port that came up; it must not block
	Count func(result string) // called once for each message, or refused connection
	udp   net.PacketConn
	tcp   net.Listener
	open  chan struct{} // a token for each TCP connection
}

// Open listens on an address, UDP and TCP.
func (s *Server) Open(address string) error {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		tcp.Close()
		return fmt.Errorf("syslog: %w", err)
	}
	s.tcp, s.udp, s.open = tcp, udp, make(chan struct{}, maxConnections)
	return nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.tcp.Addr().String() }

// Serve hears until ctx ends. Nothing that is sent ends it.
func (s *Server) Serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		s.tcp.Close()
		s.udp.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { s.datagrams(ctx) })
	wg.Go(func() { s.connections(ctx, &wg) })
	wg.Wait()
}

func (s *Server) allowed(from net.Addr) bool {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	addr := at.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.Allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (s *Server) message(text []byte) {
	ifname := Parse(text)
	if ifname == "" {
		s.Count(Other)
		return
	}
	s.Count(Kick)
	s.Up(ifname)
}

func (s *Server) datagrams(ctx context.Context) {
	buf := make([]byte, maxMessage)
	var p pacer
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		p.wait(ctx)
		switch {
		case err != nil: // such as an ICMP error of a datagram that nobody sent
		case !s.allowed(from):
			s.Count(Refused)
		default:
			s.message(buf[:n])
		}
	}
}

func (s *Server) connections(ctx context.Context, wg *sync.WaitGroup) {
	var p pacer
	for {
		conn, err := s.tcp.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		p.wait(ctx)
		if err != nil { // such as too many open files
			continue
		}
		if !s.allowed(conn.RemoteAddr()) {
			s.Count(Refused)
			conn.Close()
			continue
		}
		select {
		case s.open <- struct{}{}:
			wg.Go(func() {
				defer func() { <-s.open }()
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				s.stream(ctx, conn)
			})
		default:
			s.Count(Refused)
			conn.Close()
		}
	}
}

// stream reads messages with their length before them, or with a line feed behind them (RFC 6587).
func (s *Server) stream(ctx context.Context, conn net.Conn) {
	in := bufio.NewReaderSize(conn, maxMessage)
	var p pacer
	for {
		if conn.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		text, err := next(in)
		if errors.Is(err, errBroken) {
			s.Count(Broken)
		}
		if err != nil {
			return
		}
		p.wait(ctx)
		s.message(text)
	}
}

var errBroken = errors.New("no syslog message")

// next reads one message. It is valid until the next call.
func next(in *bufio.Reader) ([]byte, error) {
	first, err := in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] < '1' || first[0] > '9' { // a message begins with <
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, errBroken
		}
		return line, err
	}
	digits := make([]byte, 0, 5)
	for len(digits) < cap(digits) {
		b, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if b == ' ' {
			break
		}
		digits = append(digits, b)
	}
	length, err := strconv.Atoi(string(digits))
	if err != nil || length > maxMessage {
		return nil, errBroken
	}
	text, err := in.Peek(length)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	_, err = in.Discard(length)
	return text, err
}

// pacer bounds how fast messages are taken.
type pacer struct {
	tokens float64
	last   time.Time
}

func (p *pacer) wait(ctx context.Context) {
	now := time.Now()
	if p.last.IsZero() {
		p.tokens = burst
	}
	p.tokens = min(burst, p.tokens+float64(now.Sub(p.last))/float64(pause))
	p.last = now
	if p.tokens--; p.tokens >= 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}
