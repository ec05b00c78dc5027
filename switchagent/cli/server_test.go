package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/sshkey"
	"lastmile/switchagent/cli"
	"lastmile/switchagent/login"
)

// terminal is the switch's end of one login.
type terminal struct {
	in     *bufio.Reader
	out    io.Writer
	hangUp func() // closes the TCP connection
}

// print writes with the line ends of a terminal; what cannot be written is noticed when the next line
// is read.
func (p *terminal) print(text string) {
	_, _ = io.WriteString(p.out, strings.ReplaceAll(text, "\n", "\r\n"))
}

// line reads what is typed, and echoes each key as a terminal does: whoever types waits for that.
// ok is false at the end of the login.
func (p *terminal) line() (line string, ok bool) {
	for {
		key, err := p.in.ReadByte()
		if err != nil {
			return line, false
		}
		if key == '\n' || key == '\r' {
			p.print("\n")
			return line, true
		}
		line += string(key)
		p.print(string(key))
	}
}

// serve starts a switch whose command line is a script, and returns a target for it.
func serve(t *testing.T, script func(*terminal)) login.Target {
	t.Helper()
	dir, host := t.TempDir(), sshkey.ForTest(t, sshkey.Ed25519, "")
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(host.Signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logins sync.WaitGroup
	logins.Go(func() {
		for {
			tcp, err := listener.Accept()
			if err != nil {
				return
			}
			logins.Go(func() { attend(tcp, config, script) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		logins.Wait()
	})
	target := login.Target{
		Addr: listener.Addr().String(), User: "switchagent", KnownHosts: filepath.Join(dir, "known_hosts"),
		Credentials: login.Credentials{Key: filepath.Join(dir, "id")},
	}
	sshkey.ForTest(t, sshkey.Ed25519, target.Credentials.Key)
	if err := os.WriteFile(target.KnownHosts, []byte(knownhosts.Line([]string{target.Addr}, host.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return target
}

// attend runs the script on the terminal of one connection.
func attend(tcp net.Conn, config *ssh.ServerConfig, script func(*terminal)) {
	defer tcp.Close()
	conn, channels, requests, err := ssh.NewServerConn(tcp, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		shell := make(chan struct{})
		go func() {
			for r := range requests {
				_ = r.Reply(true, nil)
				if r.Type == "shell" {
					close(shell)
				}
			}
		}()
		<-shell
		script(&terminal{in: bufio.NewReader(channel), out: channel, hangUp: func() { tcp.Close() }})
		channel.Close()
	}
}

// junos is a switch that has little to say: a prompt, and an answer to each line that is typed.
type junos struct {
	banner  string // before the first prompt
	chassis string // named above each prompt
	answers map[string]func(*terminal)
	mu      sync.Mutex
	typed   []string
}

// say is an answer that is a text.
func say(format string, args ...any) func(*terminal) {
	return func(p *terminal) { p.print(fmt.Sprintf(format, args...)) }
}

func (j *junos) script(p *terminal) {
	prompt := "> "
	p.print(j.banner)
	for {
		above := map[string]string{"> ": j.chassis, "# ": j.chassis + "[edit]"}[prompt]
		if above != "" {
			above += "\n"
		}
		p.print("\n" + above + "switchagent@leaf1" + prompt)
		line, ok := p.line()
		if !ok {
			return
		}
		j.mu.Lock()
		j.typed = append(j.typed, line)
		j.mu.Unlock()
		switch answer := j.answers[line]; {
		case answer != nil:
			answer(p)
		case line == "configure private":
			prompt = "# "
			p.print("Entering configuration mode\n")
		case line == "exit configuration-mode":
			prompt = "> "
			p.print("Exiting configuration mode\n")
		case strings.HasPrefix(line, "commit"):
			p.print("commit complete\n")
		}
	}
}

// lines is what was typed, without what sets the terminal up.
func (j *junos) lines() (all []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.typed {
		if line != "" && !strings.HasPrefix(line, "set cli ") {
			all = append(all, line)
		}
	}
	return all
}

// dial logs in, and out at the end of the test.
func dial(t *testing.T, script func(*terminal)) *cli.Shell {
	t.Helper()
	shell, err := cli.Dial(bounded(t, 20*time.Second), serve(t, script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shell.Close() })
	return shell
}

// bounded is a context that ends in time.
func bounded(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
