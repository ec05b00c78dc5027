package hostagent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/etherfault"
	"lastmile/bpf/uplink"
	"lastmile/hostagent"
)

// mistype gives the first leaf the fault, and an address of its own.
func (s *server) mistype(t *testing.T) {
	t.Helper()
	addresses(t, s.leaves[0], leafOwn+"/32")
	if err := s.leaves[0].Do(func() error { return etherfault.On("swp1") }); err != nil {
		t.Fatal(err)
	}
}

const leafOwn = "10.255.255.1"

// keepWayBack gives the first leaf a route to the server that is there when BGP's is not: how long a leaf keeps that one is
// another matter.
func (s *server) keepWayBack(t *testing.T) {
	t.Helper()
	script := "ip route add 10.0.1.1 via inet6 $(ip netns exec " + s.ns.Name +
		" ip -6 -o address show dev eth0 scope link | sed 's/.*inet6 //; s/\\/.*//') dev swp1 metric 4000"
	if _, err := s.leaves[0].Run(t.Context(), "sh", "-c", script); err != nil {
		t.Fatal(err)
	}
}

// headerErrors is the kernel's count of frames that nobody repaired.
func (s *server) headerErrors(t *testing.T) string {
	t.Helper()
	out, err := s.ns.Run(t.Context(), "cat", "/proc/thread-self/net/snmp6")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Ip6InHdrErrors" {
			return f[1]
		}
	}
	t.Fatalf("no Ip6InHdrErrors in %s", out)
	return ""
}

// repair asks the daemon how its programs are.
func (s *server) repair(t *testing.T) (r hostagent.Repair) {
	t.Helper()
	out, err := s.ns.Run(t.Context(), s.bin, "show", "repair", "-o", "json", "--socket", s.socket)
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *server) pings(t *testing.T) error {
	_, err := s.ns.Run(t.Context(), "ping", "-c1", "-W1", leafOwn)
	return err
}

// awaitRepaired waits until the leaf's own address answers.
func (s *server) awaitRepaired(t *testing.T) {
	t.Helper()
	await(t, func() error { return s.pings(t) })
}

// A transfer is a TCP session from the leaf's own address to the server, that goes on until it is ended.
type transfer struct {
	arrived atomic.Int64
	conns   [2]net.Conn
	done    [2]chan error
}

func (s *server) transfer(t *testing.T) *transfer {
	t.Helper()
	var l net.Listener
	if err := s.leaves[0].Do(func() (err error) { l, err = net.Listen("tcp4", leafOwn+":7000"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	x := &transfer{done: [2]chan error{make(chan error, 1), make(chan error, 1)}}
	if err := s.ns.Do(func() (err error) {
		x.conns[0], err = net.DialTimeout("tcp4", l.Addr().String(), 10*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	if x.conns[1], err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.conns[0].Close(); x.conns[1].Close() })
	go func() { x.done[0] <- x.receive() }()
	go func() { x.done[1] <- x.send() }()
	return x
}

// send sends about 5 MB a second, so that a slow machine can follow.
func (x *transfer) send() error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	chunk := make([]byte, 50<<10)
	for range tick.C {
		if _, err := x.conns[1].Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (x *transfer) receive() error {
	buf := make([]byte, 64<<10)
	for {
		n, err := x.conns[0].Read(buf)
		x.arrived.Add(int64(n))
		if err != nil {
			return err
		}
	}
}

// awaitMore waits until so many more bytes have arrived.
func (x *transfer) awaitMore(t *testing.T, n int64) {
	t.Helper()
	until := x.arrived.Load() + n
	await(t, func() error {
		for _, done := range x.done {
			select {
			case err := <-done:
				return fmt.Errorf("the session has ended: %w", err)
			default:
			}
		}
		if now := x.arrived.Load(); now < until {
			return fmt.Errorf("%d bytes arrived, waiting for %d", now, until)
		}
		return nil
	})
}

// TestRestartLeavesNoFrameUnrepaired ends the daemon in every way, and starts it again, while the leaf sends from its own
// address. Each frame that met no program would be counted as a header error.
func TestRestartLeavesNoFrameUnrepaired(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		end    os.Signal
	}{
		"stopped":                {"", unix.SIGTERM},
		"killed":                 {"", unix.SIGKILL},
		"stopped for an upgrade": {"keep_routes_on_stop: true", unix.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.mistype(t)
			config := []string{`uplinks: ["eth*"]`, test.config}
			s.start(t, config...)
			s.awaitRepaired(t)
			s.keepWayBack(t)
			before, x := s.headerErrors(t), s.transfer(t)
			x.awaitMore(t, 1<<20)
			var repaired uint64
			for range 3 {
				s.end(t, test.end)
				if test.config != "" || test.end == unix.SIGKILL { // the routes stay, and so all goes on
					x.awaitMore(t, 1<<20)
				}
				if test.config != "" {
					s.upgrade(t)
				}
				s.start(t, config...)
				x.awaitMore(t, 1<<20)
				await(t, func() error {
					// The socket is there before the programs are replaced.
					if now := s.repair(t).Uplinks["eth0"].Repaired["plain"]; now <= repaired {
						return fmt.Errorf("%d frames repaired, and %d before", now, repaired)
					}
					return nil
				})
				repaired = s.repair(t).Uplinks["eth0"].Repaired["plain"]
			}
			if after := s.headerErrors(t); after != before || repaired == 0 {
				t.Errorf("Ip6InHdrErrors was %s and is %s, %d repaired", before, after, repaired)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// end ends the daemon by a signal.
func (s *server) end(t *testing.T, by os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	var killed *exec.ExitError
	err := s.cmd.Wait()
	if err != nil && !(by == unix.SIGKILL && errors.As(err, &killed) && killed.Sys().(syscall.WaitStatus).Signaled()) {
		t.Fatal(err)
	}
}

// upgrade puts another file in the place of the program.
func (s *server) upgrade(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(s.bin)
	if err == nil {
		err = errors.Join(os.WriteFile(s.bin+".new", program, 0o755), os.Rename(s.bin+".new", s.bin))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRepairCommands takes the program off and puts it on, while the daemon runs and when it does not.
func TestRepairCommands(t *testing.T) {
	s := newServer(t)
	s.mistype(t)
	s.start(t)
	s.awaitRepaired(t)
	command := func(args ...string) string {
		t.Helper()
		out, err := s.ns.Run(t.Context(), s.bin, append([]string{"repair"}, append(args, "--socket", s.socket)...)...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if out := command("detach", "eth0"); out != "eth0 detached\n" {
		t.Error(out)
	}
	before := s.headerErrors(t)
	if s.pings(t) == nil || s.headerErrors(t) == before {
		t.Errorf("detached, and frames are repaired or do not come; Ip6InHdrErrors %s", before)
	}
	if u := s.repair(t).Uplinks; u["eth0"].Status != "off" || u["eth1"].Status != "attached" || !u["eth1"].Pinned {
		t.Errorf("%+v", u)
	}
	if out := command("attach"); out != "eth0 attached\neth1 attached\n" {
		t.Error(out)
	}
	if err := s.pings(t); err != nil {
		t.Error(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if out := command("detach"); out != "eth0 detached\neth1 detached\n" {
		t.Error(out)
	}
	if out := command("detach"); out != "no program of ours is there\n" {
		t.Error(out)
	}
	if out, err := s.ns.Run(t.Context(), "ip", "link"); err != nil || strings.Contains(string(out), "xdp") {
		t.Errorf("%s (%v)", out, err)
	}
	if _, err := s.ns.Run(t.Context(), s.bin, "repair", "attach", "--socket", s.socket); err == nil {
		t.Error("attached without a daemon")
	}
}

// TestUplinkIsMadeAnew: another interface of the same name gets the program too.
func TestUplinkIsMadeAnew(t *testing.T) {
	s := newServer(t)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9", 2)
	await(t, s.isAttached(t, "eth1"))
	for _, line := range []string{"ip link delete eth1", "ip link add eth1 type veth peer name nowhere", "ip link set eth1 up"} {
		if _, err := s.ns.Run(t.Context(), "sh", "-c", line); err != nil {
			t.Fatal(err)
		}
	}
	await(t, s.isAttached(t, "eth1"))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// isAttached is a check that the kernel shows a program on an interface.
func (s *server) isAttached(t *testing.T, name string) func() error {
	return func() error {
		out, err := s.ns.Run(t.Context(), "ip", "link", "show", name)
		if err == nil && !strings.Contains(string(out), "prog/xdp") {
			err = fmt.Errorf("no program: %s", out)
		}
		return err
	}
}

// occupy puts a program on an interface that is not this hostagent's.
func (s *server) occupy(t *testing.T, name string) {
	t.Helper()
	err := s.ns.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		other, err := uplink.Open(uplink.Options{Repair: true, Dir: t.TempDir() + "/none"})
		if err != nil {
			return err
		}
		t.Cleanup(func() { other.Close() })
		_, err = other.Attach(name, i.Index, uplink.Generic)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnitsCapabilities: root with the capabilities of the systemd unit, and no others, attaches, pins and speaks BGP.
func TestUnitsCapabilities(t *testing.T) {
	unit, err := os.ReadFile("../docs/systemd/hostagent.service")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
	line, _, _ = strings.Cut(line, "\n")
	only := strings.ToLower(strings.ReplaceAll(" "+line, " CAP_", ",+"))
	s := newServer(t)
	s.mistype(t)
	s.cmd = exec.Command("setpriv", "--inh-caps=-all", "--bounding-set=-all"+only, "--no-new-privs", s.bin, "run", "--config", s.config(t))
	s.launch(t)
	s.awaitPaths(t, "10.9.9.9", 2)
	s.awaitRepaired(t)
	if u := s.repair(t).Uplinks["eth0"]; !u.Pinned || u.Problem != "" {
		t.Errorf("%+v", u)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.expectLogged(t, 0, "level=WARN")
}

// TestRepairIsRefused: somebody else's program is on one uplink, and then the right to load one is missing; BGP goes on.
func TestRepairIsRefused(t *testing.T) {
	t.Run("occupied", func(t *testing.T) {
		s := newServer(t)
		s.occupy(t, "eth0")
		s.start(t)
		s.awaitPaths(t, "10.9.9.9", 2)
		if u := s.repair(t).Uplinks; u["eth0"].Status != "occupied" || u["eth1"].Status != "attached" {
			t.Errorf("%+v", u)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.expectLogged(t, 1, "level=WARN")
		s.expectLogged(t, 1, `msg="frames are not repaired" link=eth0 repair=occupied`)
	})
	t.Run("without CAP_BPF", func(t *testing.T) {
		s := newServer(t)
		s.cmd = exec.Command("setpriv", "--bounding-set", "-bpf,-sys_admin,-perfmon", s.bin, "run", "--config", s.config(t))
		s.launch(t)
		s.awaitPaths(t, "10.9.9.9", 2)
		if u := s.repair(t).Uplinks["eth0"]; u.Status != "failed" || !strings.Contains(u.Problem, "not permitted: CAP_BPF is missing") ||
			strings.Contains(u.Problem, "MEMLOCK") || strings.Contains(u.Problem, "\n") {
			t.Errorf("%+v", u)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.expectLogged(t, 1, `msg="frames are not repaired" link=eth0 repair=failed`)
		s.expectLogged(t, 3, "level=WARN") // one for each uplink, and for BFD
		s.expectLogged(t, 1, `msg="BFD has no watchdog in the kernel`)
	})
}
