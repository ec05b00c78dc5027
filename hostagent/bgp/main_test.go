package bgp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/lab/netns"
)

// A Speaker needs a process of its own: its sockets belong into a network
// namespace, and GoBGP's settings are the process's. So the tests run this
// binary again, as a speaker that takes orders on its standard input and tells
// its news on its standard output, both one JSON object a line.

const speakerEnv = "BGP_TEST_SPEAKER"

func TestMain(m *testing.M) {
	if text := os.Getenv(speakerEnv); text != "" {
		if err := runSpeaker(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// speakerConfig is a bgp.Config that JSON can carry.
type speakerConfig struct {
	AS         uint32
	RouterID   netip.Addr
	ListenPort uint16
}

// request is an order; every field is one.
type request struct {
	Add, Delete *netip.Addr    `json:",omitempty"`
	Announce    []netip.Prefix `json:",omitempty"`
	Peers       bool           `json:",omitempty"`
}

// line is what a speaker says: that it is ready, an answer to a request, or a
// piece of news.
type line struct {
	At     time.Time
	Ready  bool           `json:",omitempty"`
	Answer bool           `json:",omitempty"`
	Error  string         `json:",omitempty"`
	Peers  []bgp.Peer     `json:",omitempty"`
	State  *bgp.PeerState `json:",omitempty"`
	Update *bgp.Update    `json:",omitempty"`
}

func runSpeaker(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var cfg speakerConfig
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	s, err := bgp.New(bgp.Config{
		AS: cfg.AS, RouterID: cfg.RouterID, ListenPort: cfg.ListenPort,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		l.At = time.Now()
		out.Encode(l)
	}
	go obey(ctx, s, say)
	var telling sync.WaitGroup
	telling.Go(func() {
		for n := range s.News() {
			switch n := n.(type) {
			case bgp.PeerState:
				say(line{State: &n})
			case bgp.Update:
				say(line{Update: &n})
			}
		}
	})
	err = s.Run(ctx, func() { say(line{Ready: true}) })
	telling.Wait()
	return err
}

func obey(ctx context.Context, s *bgp.Speaker, say func(line)) {
	in := json.NewDecoder(os.Stdin)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			return
		}
		answer := line{Answer: true}
		var err error
		switch {
		case r.Add != nil:
			err = s.AddPeer(ctx, *r.Add)
		case r.Delete != nil:
			err = s.DeletePeer(ctx, *r.Delete)
		case r.Peers:
			answer.Peers, err = s.Peers(ctx)
		default:
			err = s.Announce(ctx, r.Announce)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		say(answer)
	}
}

// speaker is a running speaker process, seen from the test.
type speaker struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    *json.Encoder
	lines chan line
	log   []line // all lines that were read so far
}

// startSpeaker runs a speaker in ns and waits until it listens.
func startSpeaker(t testing.TB, ns *netns.NS, cfg speakerConfig) *speaker {
	t.Helper()
	s := launch(t, ns, cfg)
	s.await("ready", func(l line) bool { return l.Ready })
	return s
}

func launch(t testing.TB, ns *netns.NS, cfg speakerConfig) *speaker {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), speakerEnv+"="+string(text))
	stderr := &logWriter{t: t}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	s := &speaker{t: t, cmd: cmd, in: json.NewEncoder(in), lines: make(chan line, 1<<16)}
	go read(out, s.lines)
	t.Cleanup(func() { s.stop() })
	return s
}

func read(from io.Reader, to chan<- line) {
	defer close(to)
	for in := json.NewDecoder(from); ; {
		var l line
		if in.Decode(&l) != nil {
			return
		}
		to <- l
	}
}

// logWriter keeps a process's log until the test has failed.
type logWriter struct {
	t  testing.TB
	mu sync.Mutex
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("speaker: %s", p)
	return len(p), nil
}

// stop asks the process to end cleanly and returns its exit error.
func (s *speaker) stop() error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for l := range s.lines {
		s.log = append(s.log, l)
	}
	return s.cmd.Wait()
}

// await reads lines until one matches.
func (s *speaker) await(what string, match func(line) bool) line {
	s.t.Helper()
	patience := time.After(20 * time.Second)
	for {
		select {
		case l, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("the speaker ended before %s", what)
			}
			s.log = append(s.log, l)
			if match(l) {
				return l
			}
		case <-patience:
			s.t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func (s *speaker) awaitState(peer netip.Addr, want bgp.State) line {
	s.t.Helper()
	return s.await(fmt.Sprintf("%s %s", peer, want), func(l line) bool {
		return l.State != nil && l.State.Peer == peer && l.State.State == want
	})
}

// awaitRoute waits for an Update that announces prefix, and returns the route.
func (s *speaker) awaitRoute(peer netip.Addr, prefix string) bgp.Route {
	s.t.Helper()
	var found bgp.Route
	s.await(fmt.Sprintf("%s from %s", prefix, peer), func(l line) bool {
		if l.Update == nil || l.Update.Peer != peer {
			return false
		}
		for _, r := range l.Update.Announced {
			if r.Prefix.String() == prefix {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func (s *speaker) awaitWithdrawn(peer netip.Addr, prefix string) {
	s.t.Helper()
	s.await(fmt.Sprintf("withdrawal of %s by %s", prefix, peer), func(l line) bool {
		if l.Update == nil || l.Update.Peer != peer {
			return false
		}
		for _, p := range l.Update.Withdrawn {
			if p.String() == prefix {
				return true
			}
		}
		return false
	})
}

// order sends a request and returns the answer.
func (s *speaker) order(r request) line {
	s.t.Helper()
	if err := s.in.Encode(r); err != nil {
		s.t.Fatal(err)
	}
	answer := s.await("an answer", func(l line) bool { return l.Answer })
	if answer.Error != "" {
		s.t.Fatalf("%+v: %s", r, answer.Error)
	}
	return answer
}

func (s *speaker) add(peer netip.Addr)    { s.t.Helper(); s.order(request{Add: &peer}) }
func (s *speaker) delete(peer netip.Addr) { s.t.Helper(); s.order(request{Delete: &peer}) }

func (s *speaker) announce(prefixes ...string) {
	s.t.Helper()
	r := request{Announce: []netip.Prefix{}}
	for _, p := range prefixes {
		r.Announce = append(r.Announce, netip.MustParsePrefix(p))
	}
	s.order(r)
}
