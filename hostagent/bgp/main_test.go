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
	"slices"
	"strings"
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

const patience = 20 * time.Second

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
	AS          uint32
	RouterID    netip.Addr
	ListenPort  uint16
	Options     *bgp.Options // of all peers; nil for the default
	RestartTime time.Duration
	Restarted   bool
	Hang        time.Duration // of GoBGP, whenever a peer of its is deleted
}

// request is an order; every field is one.
type request struct {
	Add, Delete, Refresh *netip.Addr    `json:",omitempty"`
	Reset                *netip.Addr    `json:",omitempty"` // because BFD is down
	Announce             []netip.Prefix `json:",omitempty"`
	Peers                bool           `json:",omitempty"`
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
	ctx, restart := context.WithCancelCause(ctx)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		<-asked
		restart(bgp.ErrRestart)
	}()
	var cfg speakerConfig
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	s, err := bgp.New(bgp.Config{
		AS: cfg.AS, RouterID: cfg.RouterID, ListenPort: cfg.ListenPort, RestartTime: cfg.RestartTime, Restarted: cfg.Restarted,
		Log: slog.New(hanging{slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}), cfg.Hang}),
	})
	if err != nil {
		return err
	}
	options := bgp.DefaultOptions()
	if cfg.Options != nil {
		options = *cfg.Options
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		l.At = time.Now()
		out.Encode(l)
	}
	go obey(ctx, s, options, say)
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

// hanging is a log in which GoBGP hangs when it deletes a peer: it writes there with its lock held.
type hanging struct {
	slog.Handler
	hang time.Duration
}

func (h hanging) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "Delete a peer configuration" {
		time.Sleep(h.hang)
	}
	return h.Handler.Handle(ctx, r)
}

func (h hanging) WithAttrs(attrs []slog.Attr) slog.Handler {
	return hanging{h.Handler.WithAttrs(attrs), h.hang}
}

func obey(ctx context.Context, s *bgp.Speaker, options bgp.Options, say func(line)) {
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
			err = s.AddPeer(ctx, *r.Add, options)
		case r.Delete != nil:
			err = s.DeletePeer(ctx, *r.Delete, bgp.PeerRemoved)
		case r.Reset != nil:
			err = s.ResetPeer(ctx, *r.Reset, bgp.BFDDown)
		case r.Refresh != nil:
			err = s.Refresh(ctx, *r.Refresh)
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
	said  *logWriter
	in    *json.Encoder
	lines chan line
	log   []line             // all lines that were read so far
	since map[netip.Addr]int // position behind the state last waited for
}

// startSpeaker runs a speaker in ns and waits until it listens.
func startSpeaker(t testing.TB, ns *netns.NS, cfg speakerConfig) *speaker {
	t.Helper()
	s := launch(t, ns, cfg)
	s.await("ready", 0, func(l line) bool { return l.Ready })
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
	said := &logWriter{}
	cmd.Stderr = said
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
	s := &speaker{t: t, cmd: cmd, said: said, in: json.NewEncoder(in),
		lines: make(chan line, 1<<16), since: map[netip.Addr]int{}}
	go read(out, s.lines)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the speaker ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the speaker said:\n%s", s.stderr())
		}
	})
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

// logWriter keeps what a process says on its standard error.
type logWriter struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (s *speaker) stderr() string {
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	return s.said.text.String()
}

// stop asks the process to end cleanly and returns its exit error.
func (s *speaker) stop() error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	return s.end(syscall.SIGTERM)
}

// end sends the process a signal and waits for its end.
func (s *speaker) end(by syscall.Signal) error {
	if err := s.cmd.Process.Signal(by); err != nil {
		return err
	}
	return s.wait()
}

func (s *speaker) wait() error {
	for l := range s.lines {
		s.log = append(s.log, l)
	}
	return s.cmd.Wait()
}

// next returns the next line.
func (s *speaker) next(what string) line {
	s.t.Helper()
	select {
	case l, ok := <-s.lines:
		if !ok {
			s.t.Fatalf("the speaker ended before %s", what)
		}
		s.log = append(s.log, l)
		return l
	case <-time.After(patience):
		s.t.Fatalf("waited %v for %s", patience, what)
		return line{}
	}
}

// await returns the first line at or after position from that matches, and the
// position behind it.
func (s *speaker) await(what string, from int, match func(line) bool) (line, int) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for i := from; time.Now().Before(deadline); i++ {
		for i >= len(s.log) {
			s.next(what)
		}
		if match(s.log[i]) {
			return s.log[i], i + 1
		}
	}
	s.t.Fatalf("waited %v for %s", patience, what)
	return line{}, 0
}

// awaitState waits for a peer's next change to the state.
func (s *speaker) awaitState(peer netip.Addr, want bgp.State) bgp.PeerState {
	s.t.Helper()
	l, behind := s.await(fmt.Sprintf("%s %s", peer, want), s.since[peer], func(l line) bool {
		return l.State != nil && l.State.Peer == peer && l.State.State == want
	})
	s.since[peer] = behind
	return *l.State
}

// awaitRoute waits for an Update, since the state last waited for, that
// announces prefix and that ok likes.
func (s *speaker) awaitRoute(peer netip.Addr, prefix string, ok func(bgp.Route) bool) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s from %s", prefix, peer), s.since[peer], func(l line) bool {
		return l.Update != nil && l.Update.Peer == peer &&
			slices.ContainsFunc(l.Update.Announced, func(r bgp.Route) bool {
				return r.Prefix.String() == prefix && ok(r)
			})
	})
}

func (s *speaker) awaitWithdrawn(peer netip.Addr, prefix string) {
	s.t.Helper()
	s.await(fmt.Sprintf("withdrawal of %s by %s", prefix, peer), s.since[peer], func(l line) bool {
		return l.Update != nil && l.Update.Peer == peer &&
			slices.Contains(l.Update.Withdrawn, netip.MustParsePrefix(prefix))
	})
}

// order sends a request and returns the answer.
func (s *speaker) order(r request) line {
	s.t.Helper()
	answer := s.ask(r)
	if answer.Error != "" {
		s.t.Fatalf("%+v: %s", r, answer.Error)
	}
	return answer
}

// refused sends a request and returns the error that it gets.
func (s *speaker) refused(r request) string {
	s.t.Helper()
	return s.ask(r).Error
}

func (s *speaker) ask(r request) line {
	s.t.Helper()
	if err := s.in.Encode(r); err != nil {
		s.t.Fatal(err)
	}
	for {
		if l := s.next("an answer"); l.Answer {
			return l
		}
	}
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
