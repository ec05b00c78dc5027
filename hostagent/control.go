package hostagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// listenUnix opens the socket that `hostagent show` asks. One that a killed
// daemon left behind is replaced; one that a living daemon answers is not, nor
// is a file of another kind.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the socket's directory: %w", err)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		c, dialErr := net.Dial("unix", path)
		if dialErr == nil {
			c.Close()
			return nil, fmt.Errorf("socket %s: another hostagent is running", path)
		}
		if info, statErr := os.Lstat(path); statErr != nil || info.Mode().Type() != os.ModeSocket || !errors.Is(dialErr, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("socket %s: something else is there: %w", path, dialErr)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing a dead socket: %w", err)
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the socket: %w", err)
	}
	// Whoever may administer the server may look; nobody else needs to.
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("opening the socket: %w", err)
	}
	return l, nil
}

func serveUnix(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the socket: %w", err)
	}
	return nil
}

// handler answers the questions of `hostagent show` in JSON.
func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /neighbors", answer(a, a.neighbors, func(n Neighbors) Neighbors { return n }))
	mux.Handle("GET /routes", answer(a, a.entries, describeAll))
	return mux
}

// answer runs the query in the loop, which owns what it reads, and makes its
// answer outside, which the loop need not wait for.
func answer[T, A any](a *Agent, query func(context.Context) (T, error), describe func(T) A) http.Handler {
	type result struct {
		value T
		err   error
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		results := make(chan result, 1)
		ask := func(ctx context.Context) {
			v, err := query(ctx)
			results <- result{v, err}
		}
		select {
		case a.queries <- ask:
		case <-r.Context().Done():
			return
		case <-time.After(5 * time.Second):
			http.Error(w, "the agent does not answer: "+*a.health.Load(), http.StatusServiceUnavailable)
			return
		}
		res := <-results
		if res.err != nil {
			http.Error(w, res.err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(describe(res.value))
	})
}

// Ask puts a question to the daemon behind the socket: what is a path that it
// answers, such as "neighbors", and into what its answer decodes to.
func Ask(ctx context.Context, socket, what string, into any) error {
	client := http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hostagent/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking hostagent (is it running?): %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("asking hostagent: %s", strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("reading hostagent's answer: %w", err)
	}
	return nil
}
