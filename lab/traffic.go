package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// An answerer is a TCP server in a node. To every line it answers with the
// node's name.
type answerer struct {
	listener net.Listener
	node     string
	group    sync.WaitGroup
}

// answer starts an answerer at addr, which must be one of the node's own.
func (f *Fabric) answer(node string, addr netip.AddrPort) (*answerer, error) {
	a := &answerer{node: node}
	err := f.spaces[node].Do(func() (err error) {
		a.listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", node, err)
	}
	a.group.Go(a.accept)
	return a, nil
}

func (a *answerer) accept() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return // closed
		}
		a.group.Go(func() { a.serve(conn) })
	}
}

func (a *answerer) serve(conn net.Conn) {
	defer conn.Close()
	// A client that hangs is not waited for at the end of a scene.
	conn.SetDeadline(time.Now().Add(callTimeout))
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintln(conn, a.node); err != nil {
			return
		}
	}
}

// Close ends the answerer once the sessions it has are over.
func (a *answerer) Close() {
	a.listener.Close()
	a.group.Wait()
}

const (
	callTimeout    = 5 * time.Second // for one session
	linesPerCall   = 10
	callsInFlight  = 16
	trafficPort    = 7007
	callBufferSize = 64
)

// A conversation is TCP sessions from one node to an address at which others
// listen.
type conversation struct {
	from     string
	to       []string
	addr     netip.Addr
	sessions int
}

// converse holds a conversation and returns how many sessions each node
// answered.
func (f *Fabric) converse(ctx context.Context, c conversation) (map[string]int, error) {
	addr := netip.AddrPortFrom(c.addr, trafficPort)
	for _, node := range c.to {
		a, err := f.answer(node, addr)
		if err != nil {
			return nil, err
		}
		defer a.Close()
	}
	return f.calls(ctx, c.from, addr, c.sessions)
}

// calls makes n TCP sessions from a node to an answerer, each on a port of its
// own, and returns how many of them each node answered.
func (f *Fabric) calls(ctx context.Context, from string, to netip.AddrPort, n int) (map[string]int, error) {
	var mu sync.Mutex
	answered := map[string]int{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(callsInFlight)
	for range n {
		group.Go(func() error {
			by, err := f.call(ctx, from, to)
			mu.Lock()
			defer mu.Unlock()
			answered[by]++
			return err
		})
	}
	err := group.Wait()
	delete(answered, "") // those that failed
	return answered, err
}

// call makes one TCP session of a few lines and returns who answered it.
func (f *Fabric) call(ctx context.Context, from string, to netip.AddrPort) (by string, err error) {
	var conn net.Conn
	err = f.spaces[from].Do(func() (err error) {
		dialer := net.Dialer{Timeout: callTimeout}
		conn, err = dialer.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(callTimeout))
	answers := bufio.NewReaderSize(conn, callBufferSize)
	for range linesPerCall {
		if _, err := io.WriteString(conn, "who is there?\n"); err != nil {
			return "", fmt.Errorf("%s: %w", from, err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: answer of %s: %w", from, to, err)
		}
		by = strings.TrimSpace(line)
	}
	return by, nil
}
