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
	mux.HandleFunc("GET /neighbors", a.serveNeighbors)
	mux.HandleFunc("GET /bfd", a.serveBFD)
	mux.HandleFunc("GET /routes", a.serveRoutes)
	mux.HandleFunc("GET /route", a.serveRoute)
	mux.HandleFunc("GET /repair", a.serveRepair)
	mux.HandleFunc("POST /repair/{what}", a.orderRepair)
	return mux
}

// inLoop runs the query in the loop, which owns what it reads. What it has read
// is to be described outside: the loop need not wait for that. After an error the
// query may still be running, and what it writes is not to be looked at.
func (a *Agent) inLoop(ctx context.Context, query func(context.Context)) error {
	done := make(chan struct{})
	ask := func(ctx context.Context) {
		defer close(done)
		query(ctx)
	}
	select {
	case a.queries <- ask:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
		return fmt.Errorf("the agent does not answer: %s", *a.health.Load())
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Agent) serveNeighbors(w http.ResponseWriter, r *http.Request) {
	var answer Neighbors
	var err error
	if failed := a.inLoop(r.Context(), func(ctx context.Context) { answer, err = a.neighbors(ctx) }); failed != nil {
		http.Error(w, failed.Error(), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, answer)
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// Ask puts a question to the daemon behind the socket: what is a path that it
// answers, such as "neighbors", and into what its answer decodes to.
func Ask(ctx context.Context, socket, what string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	answer, err := Open(ctx, socket, what)
	return decode(answer, err, into)
}

// decode reads an answer in JSON, unless there was an error.
func decode(answer io.ReadCloser, err error, into any) error {
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("reading hostagent's answer: %w", err)
	}
	return nil
}

// Open puts a question to the daemon behind the socket, and returns the answer
// as it comes, in JSON. It may be long; ctx ends it.
func Open(ctx context.Context, socket, what string) (io.ReadCloser, error) {
	return request(ctx, http.MethodGet, socket, what)
}

func request(ctx context.Context, method, socket, what string) (io.ReadCloser, error) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://hostagent/"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking hostagent (is it running?): %w", errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	problem := errors.New(strings.TrimSpace(string(text)))
	if resp.StatusCode/100 == 4 { // it understands, and says no
		return nil, problem
	}
	return nil, fmt.Errorf("asking hostagent: %w", problem)
}
