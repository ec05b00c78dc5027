// Package cli speaks with a switch through the command line of Junos, for where there is no NETCONF:
// the first configuration of a switch, and polls of one that refuses NETCONF for now.
//
// The terminal is scrapligo's, which knows prompts, modes and paging. The SSH connection under it is
// package login's, as for NETCONF: scrapligo's own have no bound on a handshake. Every call ends with
// its context, whatever scrapligo does.
package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scrapli/scrapligo/driver/network"
	"github.com/scrapli/scrapligo/driver/opoptions"
	"github.com/scrapli/scrapligo/driver/options"
	"github.com/scrapli/scrapligo/platform"

	"lastmile/switchagent/login"
)

const (
	commandTimeout = 30 * time.Second
	commitTimeout  = 5 * time.Minute // commits of minutes are on record
	closeTimeout   = 2 * time.Second

	// maxOutput holds a neighbour table of more than 100 000 entries.
	maxOutput = 64 << 20
)

var errClosed = errors.New("session was closed")

// A CommandError is what the switch said in place of a result. The session goes on.
type CommandError struct{ Command, Said string }

func (e *CommandError) Error() string { return fmt.Sprintf("%q: %s", e.Command, e.Said) }

// Shell is a login on the command line. It is for one goroutine. After an error that is no
// *CommandError it is of no use.
type Shell struct {
	conn    *login.Conn
	driver  *network.Driver
	closing chan struct{}
	closed  sync.Once
	alive   sync.WaitGroup
}

// Dial logs in and waits for the prompt. All of it ends with ctx.
func Dial(ctx context.Context, t login.Target) (*Shell, error) {
	conn, err := login.Dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	s := &Shell{conn: conn, closing: make(chan struct{})}
	p, err := platform.NewPlatform(platform.JuniperJunos, t.Addr,
		options.WithCustomTransport(&terminal{conn: conn}), options.WithAuthBypass(),
		options.WithTimeoutOps(commandTimeout), options.WithTransportReadSize(64<<10), options.WithReadDelay(time.Millisecond))
	if err == nil {
		s.driver, err = p.GetNetworkDriver()
	}
	if err == nil {
		forgetShells(s.driver)
		err = s.do(ctx, s.driver.Open)
	}
	if err != nil {
		conn.Fail(err)
		return nil, fmt.Errorf("command line of %s@%s: %w", t.User, t.Addr, conn.Failure())
	}
	s.alive.Go(func() { conn.Keepalive(s.closing, login.KeepaliveEvery, login.KeepaliveWait) })
	return s, nil
}

// forgetShells leaves the driver with the prompts of Junos alone. Those of the shells below it, which
// are never asked for, are any line or packet that ends in %, $ or a #: output ended there, and
// such lines were missing in it.
func forgetShells(d *network.Driver) {
	delete(d.PrivilegeLevels, "shell")
	delete(d.PrivilegeLevels, "root-shell")
	d.UpdatePrivileges()
}

// do runs f, which waits for the switch, and ends the session if it panics or ctx ends first.
func (s *Shell) do(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Fail(context.Cause(ctx)) })
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				ended <- fmt.Errorf("reading the terminal: %v", fault)
			}
		}()
		ended <- f()
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		// The connection is closed, so f ends soon; nobody waits for it. Closed here too: who sees the
		// error asks Err at once, and the other way may be late.
		s.conn.Fail(context.Cause(ctx))
		return context.Cause(ctx)
	}
	if err != nil {
		s.conn.Fail(err)
		return s.conn.Failure()
	}
	return s.Err()
}

// Err says why the shell is of no use; nil while it is.
func (s *Shell) Err() error { return s.conn.Failure() }

// Done is closed when it is of no use any more.
func (s *Shell) Done() <-chan struct{} { return s.conn.Done() }

// Run runs one command of the operational mode and returns what it prints.
func (s *Shell) Run(ctx context.Context, command string) (string, error) {
	if err := oneLine(command); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var output string
	err := s.do(ctx, func() error {
		r, err := s.driver.SendCommand(command)
		if err == nil {
			output = r.Result
		}
		return err
	})
	if err != nil {
		return "", err // and output is of a command that may still be going on
	}
	return output, refusal(command, output)
}

// Configure commits set and delete lines through a private copy of the configuration, which holds
// nobody else's edits. It returns the difference that was committed, "" if there was none. What
// the switch refuses is a *CommandError, and nothing is committed. Nor is anything while a commit of
// somebody else waits for its confirmation, which any commit would be, or if somebody has committed
// meanwhile.
func (s *Shell) Configure(ctx context.Context, lines []string, comment string) (diff string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for _, line := range slices.Concat(lines, []string{comment}) {
		if err := oneLine(line); err != nil {
			return "", err
		}
	}
	newest, err := s.newestCommit(ctx)
	if err != nil {
		return "", err
	}
	if err := s.do(ctx, func() error { return s.driver.AcquirePriv("configuration-private") }); err != nil {
		return "", fmt.Errorf("configure private (is the shared candidate locked, or changed by somebody?): %w", err)
	}
	for _, line := range lines {
		if _, err := s.typed(ctx, line); err != nil {
			return "", errors.Join(err, s.discard(ctx))
		}
	}
	shown, err := s.typed(ctx, "show | compare")
	if err != nil {
		return "", errors.Join(err, s.discard(ctx))
	}
	// The last line is where the next prompt stands.
	diff = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(shown), "[edit]"))
	if diff == "" {
		return "", s.discard(ctx)
	}
	if now, err := s.typed(ctx, "run "+showCommits); err != nil || newestOf(now) != newest {
		if err == nil {
			err = &CommandError{showCommits, "somebody has committed meanwhile: " + newestOf(now)}
		}
		return "", errors.Join(err, s.discard(ctx))
	}
	said, err := s.typed(ctx, `commit comment "`+strings.ReplaceAll(comment, `"`, "'")+`"`)
	if err == nil && !strings.Contains(said, "commit complete") {
		err = &CommandError{"commit", strings.TrimSpace(said)}
	}
	if err != nil {
		return "", errors.Join(err, s.discard(ctx))
	}
	return diff, s.do(ctx, func() error { return s.driver.AcquirePriv("exec") })
}

const showCommits = "show system commit | no-more"

// newestCommit is what the switch says of its newest commit. One that waits for its confirmation is an
// error.
func (s *Shell) newestCommit(ctx context.Context) (string, error) {
	shown, err := s.Run(ctx, showCommits)
	if err != nil {
		return "", fmt.Errorf("the log of commits, without which somebody's unconfirmed commit would be confirmed: %w", err)
	}
	newest := newestOf(shown)
	if strings.HasSuffix(newest, " rollback pending") {
		return "", &CommandError{showCommits, "somebody's commit waits for its confirmation, and this one would confirm it: " + newest}
	}
	return newest, nil
}

// newestOf is the first entry of the list: a line that begins with its number, and more with a margin.
func newestOf(commits string) string {
	var lines []string
	for line := range strings.Lines(commits) {
		if entry := line[0] >= '0' && line[0] <= '9'; entry && len(lines) > 0 {
			break
		} else if entry || len(lines) > 0 && (line[0] == ' ' || line[0] == '\t') {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, " ")
}

// typed types one line in configuration mode.
func (s *Shell) typed(ctx context.Context, line string) (said string, err error) {
	err = s.do(ctx, func() error {
		r, err := s.driver.SendConfigs([]string{line}, opoptions.WithPrivilegeLevel("configuration-private"), opoptions.WithTimeoutOps(commitTimeout))
		if err == nil {
			said = r.Responses[0].Result
		}
		return err
	})
	if err != nil {
		return "", err // as of Run
	}
	return said, refusal(line, said)
}

// discard leaves configuration mode with nothing committed. The private copy goes with the mode.
func (s *Shell) discard(ctx context.Context) error {
	if _, err := s.typed(ctx, "rollback 0"); err != nil {
		return err
	}
	return s.do(ctx, func() error { return s.driver.AcquirePriv("exec") })
}

// oneLine refuses what would be typed as more than one line, or answer a question of its own.
func oneLine(line string) error {
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == '?' }); i >= 0 {
		return fmt.Errorf("command %q: character %q is not typed", line, line[i])
	}
	return nil
}

// refusal finds what the switch complains of. Warnings are none.
func refusal(command, output string) error {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		for _, sign := range []string{"error:", "unknown command", "syntax error", "invalid value", "is ambiguous", "missing argument", "permission denied", "No valid completions"} {
			if strings.HasPrefix(line, sign) {
				return &CommandError{command, strings.Join(strings.Fields(output), " ")}
			}
		}
	}
	return nil
}

// Close ends the session, within two seconds.
func (s *Shell) Close() error {
	s.closed.Do(func() {
		close(s.closing)
		s.conn.Fail(errClosed)
		ended := make(chan struct{})
		go func() { // with the connection gone there is nothing left to wait for, but it is not ours
			defer close(ended)
			defer func() { _ = recover() }() // closing is best effort: the connection is closed
			s.driver.Channel.Close()
		}()
		select {
		case <-ended:
		case <-time.After(closeTimeout):
		}
		s.alive.Wait()
	})
	return nil
}
