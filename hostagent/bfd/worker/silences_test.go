package worker

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
)

// TestSilencesInARow: a worker is taken for hung when it leaves some connections in a
// row without an answer. What another one did counts for nothing.
func TestSilencesInARow(t *testing.T) {
	const leftAlone = "is left alone" // says who would kill this process, were it a worker
	timeout := fmt.Errorf("reading the hello: %w", os.ErrDeadlineExceeded)
	self := uint32(os.Getpid())
	for name, between := range map[string]func(t *testing.T, c *Client){
		"it serves another one": func(t *testing.T, c *Client) {
			answers(t, c.cfg.Socket, &busy{kindBusy, self})
			if _, err := c.connect(t.Context()); err == nil || !strings.Contains(err.Error(), "another hostagent") {
				t.Errorf("connected: %v", err)
			}
		},
		"it is of another release": func(t *testing.T, c *Client) {
			answers(t, c.cfg.Socket, &hello{Kind: kindHello, Version: protocol + 1})
			if _, err := c.connect(t.Context()); err == nil {
				t.Error("connected")
			}
		},
		"it answers": func(t *testing.T, c *Client) {
			answers(t, c.cfg.Socket, &hello{Kind: kindHello, Version: protocol})
			conn, err := c.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		},
		"it is gone": func(t *testing.T, c *Client) { // and the next one does not live long
			if conn, err := c.connect(t.Context()); err == nil {
				conn.Close()
				t.Error("connected")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Config{Socket: t.TempDir() + "/bfd.sock", Program: []string{"true"}, Log: slog.New(slog.DiscardHandler)})
			if err := c.hung(self, timeout); err != timeout {
				t.Fatalf("the first silence: %v", err)
			}
			between(t, c)
			if err := c.hung(self, timeout); err != timeout {
				t.Errorf("the first silence since: %v", err)
			}
			if err := c.hung(self, timeout); !strings.Contains(err.Error(), leftAlone) {
				t.Errorf("the second silence: %v", err)
			}
			if err := c.hung(self, timeout); err != timeout {
				t.Errorf("the first silence after that: %v", err)
			}
		})
	}
}

// TestWorkerIsKnownBeforeItsHello: by the connection that waits for it.
func TestWorkerIsKnownBeforeItsHello(t *testing.T) {
	path := t.TempDir() + "/bfd.sock"
	answers(t, path, &busy{kindBusy, 1})
	if _, h, err := dial(t.Context(), path); err == nil || h.PID != uint32(os.Getpid()) {
		t.Errorf("it is process %d (%v), want %d", h.PID, err, os.Getpid())
	}
}

// answers has whoever connects next told one message, and then that all is over.
func answers(t *testing.T, path string, message any) {
	t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		defer conn.Close()
		if _, err := conn.Write(encode(nil, message)); err != nil {
			t.Error(err)
		}
	}()
}
