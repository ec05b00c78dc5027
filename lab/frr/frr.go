// Package frr runs FRR's own daemons in a network namespace, the way Debian
// packages them, without a service manager: spine and leaves of the lab, and
// the peers that tests check ours against.
package frr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lastmile/lab/netns"
)

// libexec is where Debian's package keeps the daemons.
const libexec = "/usr/lib/frr"

// Config says where a router runs and with what configuration.
type Config struct {
	NS  *netns.NS
	Dir string // holds configuration, sockets and logs; made if missing, given to the user frr
	// Zebra and BGP are the configuration texts of the two daemons.
	Zebra, BGP string
	BFD        bool   // run bfdd too
	Profiles   string // bfdd's configuration text
}

// A Router is one set of running daemons.
type Router struct {
	dir     string
	daemons []*daemon
}

type daemon struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is reaped
}

// Start starts zebra, bfdd if asked for, and bgpd, and returns once all of
// them answer. The daemons outlive ctx; Stop, or deleting the namespace, ends
// them.
func Start(ctx context.Context, cfg Config) (*Router, error) {
	r := &Router{dir: cfg.Dir}
	owner, err := lookup("frr")
	if err != nil {
		return nil, err
	}
	if err := owner.makeDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := (&starter{r, cfg, owner}).all(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting FRR in %s: %w", cfg.NS.Name, err), r.Stop())
	}
	return r, nil
}

// A starter starts the daemons of a router.
type starter struct {
	router *Router
	cfg    Config
	owner  credential
}

func (s *starter) all(ctx context.Context) error {
	// zebra first: the others connect to it when they start.
	if err := s.start(ctx, "zebra", s.cfg.Zebra); err != nil {
		return err
	}
	if s.cfg.BFD {
		control := filepath.Join(s.cfg.Dir, "bfdctl.sock")
		if err := s.start(ctx, "bfdd", s.cfg.Profiles, "--bfdctl", control); err != nil {
			return err
		}
	}
	return s.start(ctx, "bgpd", s.cfg.BGP, "-p", "179")
}

// start starts one daemon with a configuration text and waits until it answers.
func (s *starter) start(ctx context.Context, name, text string, extra ...string) error {
	file := func(suffix string) string { return filepath.Join(s.cfg.Dir, name+suffix) }
	if err := s.owner.writeFile(file(".conf"), text); err != nil {
		return err
	}
	args := append([]string{
		"-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0",
		"-f", file(".conf"), "-i", file(".pid"),
		"-z", filepath.Join(s.cfg.Dir, "zserv.api"), "--vty_socket", s.cfg.Dir,
		"--log", "file:" + file(".log"),
	}, extra...)
	out, err := os.Create(file(".out"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(libexec, name), args...)
	cmd.Stdout, cmd.Stderr = out, out
	// A session of its own: an interrupt at the terminal is for the lab alone,
	// which ends the daemons in its own order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.cfg.NS.Start(cmd); err != nil {
		return err
	}
	d := &daemon{name: name, cmd: cmd, ended: make(chan struct{})}
	go func() { cmd.Wait(); close(d.ended) }()
	s.router.daemons = append(s.router.daemons, d)
	return s.router.awaitReady(ctx, d, file(".out"))
}

// awaitReady waits until the daemon answers at its vty socket.
func (r *Router) awaitReady(ctx context.Context, d *daemon, out string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if _, err := vtysh(ctx, r.dir, "-d", d.name, "-c", "show version"); err == nil {
			return nil
		}
		select {
		case <-d.ended:
			text, _ := os.ReadFile(out)
			return fmt.Errorf("%s ended (%v): %s", d.name, d.cmd.ProcessState, strings.TrimSpace(string(text)))
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to answer: %w", d.name, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Open returns a Router over daemons that were started by another process and
// keep their sockets in dir. Its Stop does nothing.
func Open(dir string) *Router { return &Router{dir: dir} }

// Vtysh runs commands as `vtysh -c` does, one after the other, and returns what
// they print.
func (r *Router) Vtysh(ctx context.Context, commands ...string) ([]byte, error) {
	var args []string
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return vtysh(ctx, r.dir, args...)
}

// Configure applies configuration lines, as in a configuration file, to the
// running daemons in one batch. Lines before a refused one stay applied; the
// error holds vtysh's own words.
func (r *Router) Configure(ctx context.Context, lines ...string) error {
	// Not `vtysh -f`: bgpd takes that for the reading of its configuration, and
	// starts no session for a second after it.
	out, err := r.Vtysh(ctx, append([]string{"configure terminal"}, lines...)...)
	if err == nil && strings.Contains(string(out), "% ") {
		err = errors.New(strings.TrimSpace(string(out)))
	}
	if err != nil {
		return fmt.Errorf("configuring FRR: %w", err)
	}
	return nil
}

func vtysh(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "vtysh", append([]string{"--vty_socket", dir}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("vtysh: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return out, nil
}

// Stop ends the daemons, bgpd first so that it can tell its peers.
func (r *Router) Stop() error {
	var errs []error
	for i := len(r.daemons) - 1; i >= 0; i-- {
		d := r.daemons[i]
		err := d.cmd.Process.Signal(syscall.SIGTERM)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("stopping %s: %w", d.name, err))
			continue
		}
		select {
		case <-d.ended:
		case <-time.After(5 * time.Second):
			if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				errs = append(errs, fmt.Errorf("killing %s: %w", d.name, err))
			}
			<-d.ended
		}
	}
	r.daemons = nil
	return errors.Join(errs...)
}

// credential is the user that FRR's daemons drop to.
type credential struct{ uid, gid int }

func lookup(name string) (credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return credential{}, fmt.Errorf("FRR is not installed (Debian package frr): %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return credential{}, fmt.Errorf("user %s: uid %q: %w", name, u.Uid, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return credential{}, fmt.Errorf("user %s: gid %q: %w", name, u.Gid, err)
	}
	return credential{uid, gid}, nil
}

func (c credential) makeDir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chown(path, c.uid, c.gid)
}

func (c credential) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		return err
	}
	return os.Chown(path, c.uid, c.gid)
}
