package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/netns"
)

// A Client starts its worker in the namespace that it lives in itself, and has
// to be killed in some tests. So it is a process: this binary again, which takes
// orders on its standard input and tells its news on its standard output, one
// JSON object a line. The worker is this binary a third time.

const clientEnv = "BFD_TEST_CLIENT"

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == worker.Command:
		err = runWorker(os.Args[2:])
	case os.Getenv(clientEnv) != "":
		err = runClient(os.Getenv(clientEnv))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runWorker(args []string) error {
	flags := flag.NewFlagSet(worker.Command, flag.ContinueOnError)
	socket := flags.String("socket", "", "")
	orphan := flags.Duration("orphan", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return worker.Main(worker.Config{Socket: *socket, Orphan: *orphan, Log: stderr()})
}

func stderr() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// request is an order; one field is set.
type request struct {
	Watch    *worker.Watch `json:",omitempty"`
	Unwatch  *netip.Addr   `json:",omitempty"`
	Sessions bool          `json:",omitempty"`
	Watchdog string        `json:",omitempty"` // "maps", the client's, or why there are none
}

// line is what a client says: the answer to a request, or news.
type line struct {
	Answer   bool             `json:",omitempty"`
	Error    string           `json:",omitempty"`
	Status   *status          `json:",omitempty"`
	Sessions []worker.Session `json:",omitempty"`
	News     *news            `json:",omitempty"`
}

type news struct {
	worker.Session
	Changed, Failed bool
	Refusal         string
	Told            time.Duration // when the client heard, CLOCK_MONOTONIC
}

type status struct {
	worker.Status
	Running, Adopted bool
	PID, Restarts    int
	Error            string
	Watchdog         bool
	WatchdogReason   string
}

func runClient(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := worker.Config{Log: stderr()}
	var text struct {
		Socket        string
		Orphan, Claim time.Duration
	}
	if err := json.Unmarshal([]byte(config), &text); err != nil {
		return err
	}
	cfg.Socket, cfg.Orphan, cfg.Claim = text.Socket, text.Orphan, text.Claim
	c := worker.New(cfg)
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		out.Encode(l)
	}
	go obey(ctx, c, say)
	var telling sync.WaitGroup
	telling.Go(func() {
		for n := range c.News() {
			l := news{Session: n.Session, Changed: n.Changed, Failed: n.PathFailed(), Told: monotonic()}
			if n.Err != nil {
				l.Refusal = n.Err.Error()
			}
			say(line{News: &l})
		}
	})
	err := c.Run(ctx)
	telling.Wait()
	return err
}

func obey(ctx context.Context, c *worker.Client, say func(line)) {
	in := json.NewDecoder(os.Stdin)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			return
		}
		answer := line{Answer: true}
		var err error
		switch {
		case r.Watch != nil:
			err = c.Watch(*r.Watch)
		case r.Unwatch != nil:
			c.Unwatch(*r.Unwatch)
		case r.Watchdog == "maps":
			c.SetWatchdog(os.NewFile(3, "sessions"), os.NewFile(4, "events"), nil)
		case r.Watchdog != "":
			c.SetWatchdog(nil, nil, errors.New(r.Watchdog))
		case r.Sessions:
			answer.Sessions, err = c.Sessions(ctx)
		default:
			s := c.Status()
			answer.Status = &status{Status: s.Status, Running: s.Running, Adopted: s.Adopted, PID: s.PID, Restarts: s.Restarts, Watchdog: s.Watchdog, WatchdogReason: s.WatchdogReason}
			if s.Err != nil {
				answer.Status.Error = s.Err.Error()
			}
		}
		if err != nil {
			answer.Error = err.Error()
		}
		say(answer)
	}
}

// agent is a client process in a namespace.
type agent struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      *json.Encoder
	answers chan line
	stderr  *lines
	ended   chan struct{}

	mu   sync.Mutex
	news []news
}

// lines collects what a process and its children log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// settings of a client process, with what they are if zero.
type settings struct {
	Socket        string
	Orphan, Claim time.Duration
	wrap          []string   // a command that runs it, such as setpriv
	maps          []*os.File // of the watchdog
}

func (s settings) completed(t testing.TB) settings {
	if s.Socket == "" {
		s.Socket = socketPath(t)
	}
	if s.Orphan == 0 {
		s.Orphan = worker.DefaultOrphan
	}
	if s.Claim == 0 {
		s.Claim = worker.DefaultClaim
	}
	return s
}

func socketPath(t testing.TB) string { return filepath.Join(t.TempDir(), "bfd.sock") }

// startAgent starts a client. It is stopped at the end of the test if the test
// has not ended it; its worker goes with the namespace.
func startAgent(t testing.TB, ns *netns.NS, s settings) *agent {
	t.Helper()
	config, err := json.Marshal(s.completed(t))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(s.wrap, self)
	a := &agent{t: t, cmd: exec.Command(argv[0], argv[1:]...), answers: make(chan line, 16), stderr: &lines{}, ended: make(chan struct{})}
	a.cmd.ExtraFiles = s.maps
	a.cmd.Env = append(os.Environ(), clientEnv+"="+string(config))
	stdin, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.in = json.NewEncoder(stdin)
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// A pipe of our own: the worker keeps it open when the client is gone.
	errOut, errIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a.cmd.Stderr = errIn
	if err := ns.Start(a.cmd); err != nil {
		t.Fatal(err)
	}
	errIn.Close()
	go a.stderr.read(errOut)
	go a.listen(stdout)
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("client and worker:\n%s", a.stderr)
		}
	})
	return a
}

func (l *lines) read(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		l.mu.Lock()
		l.text.WriteString(in.Text() + "\n")
		l.mu.Unlock()
	}
}

func (a *agent) listen(out io.Reader) {
	defer close(a.ended)
	for in := json.NewDecoder(out); ; {
		var l line
		if in.Decode(&l) != nil {
			a.cmd.Wait()
			return
		}
		if l.News != nil {
			a.mu.Lock()
			a.news = append(a.news, *l.News)
			a.mu.Unlock()
			continue
		}
		a.answers <- l
	}
}

func (a *agent) stop() { a.end(syscall.SIGTERM) }

// kill ends the client without a word to the worker.
func (a *agent) kill() { a.end(syscall.SIGKILL) }

func (a *agent) end(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		a.t.Error(err)
	}
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Error("the client does not end")
	}
}

func (a *agent) ask(r request) line {
	a.t.Helper()
	if err := a.in.Encode(r); err != nil {
		a.t.Fatal(err)
	}
	select {
	case l := <-a.answers:
		return l
	case <-time.After(patience):
		a.t.Fatalf("no answer to %+v", r)
		return line{}
	}
}

// watch orders a session, which must not be refused.
func (a *agent) watch(w worker.Watch) {
	a.t.Helper()
	if l := a.ask(request{Watch: &w}); l.Error != "" {
		a.t.Fatal(l.Error)
	}
}

func (a *agent) status() status {
	a.t.Helper()
	return *a.ask(request{}).Status
}

// running returns the status of the worker once there is one.
func (a *agent) running() (s status) {
	a.t.Helper()
	eventually(a.t, "a worker", func() bool { s = a.status(); return s.Running })
	return s
}

// session returns the only session, zero if there is none or no worker.
func (a *agent) session() worker.Session {
	a.t.Helper()
	l := a.ask(request{Sessions: true})
	if len(l.Sessions) != 1 {
		return worker.Session{}
	}
	return l.Sessions[0]
}

// await waits until the only session is in a state, and returns it.
func (a *agent) await(want bfd.State) (s worker.Session) {
	a.t.Helper()
	eventually(a.t, "a session that is "+want.String(), func() bool {
		s = a.session()
		return s.Known && s.State == want
	})
	return s
}

// told returns the news so far.
func (a *agent) told() []news {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]news(nil), a.news...)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is not: %s", what)
		}
	}
}
