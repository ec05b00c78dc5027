package lab_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A wire carries TCP connections to where it leads, until it is cut.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	to       string
	ends     []net.Conn
}

func newWire(t *testing.T) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener}
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { w.carry(near) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		w.cut()
		carrying.Wait()
	})
	return w
}

func (w *wire) at() string { return w.listener.Addr().String() }

func (w *wire) lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// carry copies both ways until either end closes.
func (w *wire) carry(near net.Conn) {
	defer near.Close()
	w.mu.Lock()
	far, err := net.Dial("tcp", w.to)
	if err == nil {
		w.ends = append(w.ends, near, far)
	}
	w.mu.Unlock()
	if err != nil {
		return
	}
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		io.Copy(near, far)
		near.Close()
	})
	io.Copy(far, near)
	far.Close()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		end.Close()
	}
	w.ends = nil
}
