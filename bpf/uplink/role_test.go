package uplink_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/bfdwatch"
	"lastmile/bpf/uplink"
)

// roles are what this test program does when it is started again, as another process with fewer rights.
var roles = map[string]func() int{"attach": attachRole, "watch": watchRole}

const nobody = 65534

// as prepares a process in a role, as nobody with the capabilities given.
func as(role string, caps ...uintptr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "UPLINK_TEST_ROLE="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: caps,
	}
	return cmd
}

// attachRole attaches to up0 and says how that went.
func attachRole() int {
	h, err := uplink.Open(uplink.Options{Repair: true, Watchdog: true, Dir: os.Getenv("UPLINK_TEST_DIR")})
	if err != nil {
		fmt.Println("open:", err)
		return 0
	}
	defer h.Close()
	fmt.Println("variants:", uplink.LoadVariants())
	i, err := net.InterfaceByName("up0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, mode := range []uplink.Mode{uplink.Native, uplink.Generic, uplink.TCX} {
		s, err := h.Attach("up0", i.Index, mode)
		fmt.Printf("%s: %s repair=%v watchdog=%v pinned=%v %v\n", mode, s.Status, s.Repair, s.Watchdog, s.Unpinned == nil, err)
	}
	return 0
}

func TestCapabilities(t *testing.T) {
	b := newBench(t)
	mount := filepath.Dir(b.root)
	if err := errors.Join(os.Chown(mount, nobody, nobody), os.Chmod(filepath.Dir(mount), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		caps  []uintptr
		works bool
	}{
		{"CAP_NET_ADMIN and CAP_BPF", []uintptr{unix.CAP_NET_ADMIN, unix.CAP_BPF}, true},
		{"CAP_NET_ADMIN alone", []uintptr{unix.CAP_NET_ADMIN}, false},
		{"CAP_BPF alone", []uintptr{unix.CAP_BPF}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := b.attachWith(c.caps)
			if c.works && strings.Contains(out, "pointer comparison prohibited") && older(t, 6, 6) {
				t.Log("this kernel wants CAP_PERFMON too")
				out = b.attachWith(append(c.caps, unix.CAP_PERFMON))
			}
			if c.works {
				expectAttached(t, out)
			} else if strings.Contains(out, "attached") || !strings.Contains(out, "not permitted") {
				t.Errorf("want a refusal for want of permission:\n%s", out)
			}
		})
	}
}

// attachWith returns what a process in the role of attaching says, that has these capabilities.
func (b *bench) attachWith(caps []uintptr) string {
	b.t.Helper()
	cmd := as("attach", caps...)
	cmd.Env = append(cmd.Env, "UPLINK_TEST_DIR="+b.root)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := b.host.Start(cmd); err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("%v: %s", err, &out)
	}
	return out.String()
}

func expectAttached(t *testing.T, out string) {
	t.Helper()
	if !strings.Contains(out, "variants: <nil>") && uplink.HasFrags() {
		t.Errorf("not every variant loads:\n%s", out)
	}
	for _, mode := range modes(t, uplink.Native, uplink.Generic, uplink.TCX) {
		want := fmt.Sprintf("%s: attached repair=true watchdog=%v pinned=true <nil>", mode, uplink.HasTimers())
		if !strings.Contains(out, want) {
			t.Errorf("want %q:\n%s", want, out)
		}
	}
}

const discriminator = 0xc0ffee

// watchRole is the BFD worker: it is handed the two maps, arms a session, says so and waits for its event.
func watchRole() int {
	dog, err := bfdwatch.New(os.NewFile(3, "sessions"), os.NewFile(4, "events"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer dog.Close()
	i, err := net.InterfaceByName("up0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	key := bfdwatch.Key{Interface: uint32(i.Index), Discriminator: discriminator}
	g, err := dog.Arm(bfdwatch.Session{Key: key, Peer: leafLinkLocal, Detect: 50 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("armed")
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, dog.FD(), &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if _, err := unix.EpollWait(epoll, make([]unix.EpollEvent, 1), 1000); err != nil && !errors.Is(err, unix.EINTR) {
			fmt.Println(err)
			return 1
		}
		var e bfdwatch.Event
		if dog.Next(&e) {
			fmt.Println("event", e.Key == key, e.Generation == g, time.Duration(e.Expired-e.Last) >= 50*time.Millisecond)
			return 0
		}
	}
	fmt.Println("no event")
	return 1
}

// A process without any capability, that holds the maps, watches a real peer's packets on a real link.
func TestWorkerWithoutCapabilities(t *testing.T) {
	if !uplink.HasTimers() {
		t.Log("this kernel has no BPF timers")
		return
	}
	for _, mode := range modes(t, uplink.Native, uplink.Generic, uplink.TCX) {
		t.Run(string(mode), func(t *testing.T) { watchAsWorker(t, mode) })
	}
}

func watchAsWorker(t *testing.T, mode uplink.Mode) {
	b := newBench(t)
	b.run(b.leaf, "ip address add "+leafLinkLocal.String()+"/64 dev port nodad")
	h := b.open(uplink.Options{Watchdog: true})
	if s := b.attach(h, mode); !s.Watchdog || s.Repair {
		t.Fatalf("%+v", s)
	}
	sessions, events, err := h.Watchdog()
	if err != nil {
		t.Fatal(err)
	}
	cmd := as("watch")
	cmd.ExtraFiles = []*os.File{sessions, events}
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := b.host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.eventually("the worker has armed: "+out.String(), func() bool { return strings.Contains(out.String(), "armed") })
	b.sendControl(out)
	if err := errors.Join(<-ended, sessions.Close(), events.Close()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(out.String(), "event true true true") {
		t.Errorf("the worker says:\n%s", out)
	}
}

// sendControl sends control packets from the leaf until the worker says something of an event, pausing ever longer.
func (b *bench) sendControl(said fmt.Stringer) {
	b.t.Helper()
	var c *net.UDPConn
	if err := b.leaf.Do(func() (err error) {
		c, err = net.DialUDP("udp6",
			&net.UDPAddr{IP: leafLinkLocal.AsSlice(), Zone: "port", Port: 49152},
			&net.UDPAddr{IP: net.ParseIP("ff02::1"), Zone: "port", Port: 3784})
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
	}); err != nil || set != nil {
		b.t.Fatal(err, set)
	}
	packet := []byte{1 << 5, 3 << 6, 3, 24, 0, 0, 0, 7, 0, 0xc0, 0xff, 0xee}
	packet = append(packet, make([]byte, 12)...)
	pause := 10 * time.Millisecond
	b.eventually("the worker has seen an event", func() bool {
		if _, err := c.Write(packet); err != nil {
			b.t.Fatal(err)
		}
		pause = min(pause*3/2, time.Second)
		time.Sleep(pause) // the silence that is to be noticed
		return strings.Contains(said.String(), "event")
	})
}

func TestWatchdogOff(t *testing.T) {
	b := newBench(t)
	h := b.open(uplink.Options{Repair: true})
	if s := b.attach(h, uplink.Auto); s.Watchdog || !s.Repair {
		t.Errorf("%+v", s)
	}
	if _, _, err := h.Watchdog(); err == nil {
		t.Error("maps of a watchdog that is off")
	}
}

// The pins serve as well as the files.
func TestWatchdogByItsPins(t *testing.T) {
	if !uplink.HasTimers() {
		t.Log("this kernel has no BPF timers")
		return
	}
	b := newBench(t)
	h := b.open(repair)
	dog, err := bfdwatch.Open(h.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dog.Arm(bfdwatch.Session{Peer: leafLinkLocal, Detect: time.Second}); err != nil {
		t.Error(err)
	}
	if err := dog.Close(); err != nil {
		t.Error(err)
	}
	names, err := os.ReadDir(h.Dir())
	if err != nil || !slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == bfdwatch.EventsMap }) {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := bfdwatch.Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without pins: %v", err)
	}
}
