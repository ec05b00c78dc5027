package uplink_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastmile/bpf/etherfault"
	"lastmile/bpf/uplink"
)

var repair = uplink.Options{Repair: true, Watchdog: true}

// breakLeaf has the leaf mis-type what it sends itself.
func (b *bench) breakLeaf() {
	b.t.Helper()
	if err := b.leaf.Do(func() error { return etherfault.On("port") }); err != nil {
		b.t.Fatal(err)
	}
}

// headerErrors is the kernel's count of IPv6 packets of a wrong version: of frames that nobody repaired.
func (b *bench) headerErrors() int {
	b.t.Helper()
	for line := range strings.Lines(b.run(b.host, "cat /proc/thread-self/net/snmp6")) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Ip6InHdrErrors" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				b.t.Fatal(err)
			}
			return n
		}
	}
	b.t.Fatal("no Ip6InHdrErrors")
	return 0
}

// transfer has the leaf send bytes by TCP, and returns how many arrived at the server. while is called for as long as the
// transfer runs.
func (b *bench) transfer(bytes int64, while func()) int64 {
	b.t.Helper()
	var listener net.Listener
	if err := b.leaf.Do(func() (err error) {
		listener, err = net.Listen("tcp4", leafAddress+":0")
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	defer listener.Close()
	sent := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyN(c, zeros{}, bytes)
		}
		sent <- err
	}()
	var c net.Conn
	if err := b.host.Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", listener.Addr().String(), 10*time.Second)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	done := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, c) // what is missing is seen in the count
		done <- n
	}()
	for {
		select {
		case n := <-done:
			if err := <-sent; err != nil {
				b.t.Error(err)
			}
			return n
		default:
			while()
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// capture records what tcpdump sees of the leaf's frames on the server while do runs, until it has seen what is awaited.
func (b *bench) capture(awaited string, do func()) string {
	b.t.Helper()
	var said strings.Builder
	out := new(lockedBuffer)
	cmd := exec.Command("tcpdump", "-eln", "--immediate-mode", "-i", "up0", "-Q", "in")
	cmd.Stdout = out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.host.Start(cmd); err != nil {
		b.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for !strings.Contains(said.String(), "listening on") {
		n, err := stderr.Read(buf)
		if err != nil {
			b.t.Fatalf("tcpdump: %v: %s", err, &said)
		}
		said.Write(buf[:n])
	}
	do()
	b.eventually("tcpdump prints "+awaited, func() bool { return strings.Contains(out.String(), awaited) })
	if err := cmd.Process.Signal(interrupt); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stderr); err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func TestRepairIsSeenByAll(t *testing.T) {
	for _, mode := range modes(t, uplink.Auto, uplink.Native, uplink.Generic, uplink.TCX) {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			b.breakLeaf()
			before := b.headerErrors()
			if b.pings() {
				t.Fatal("with the fault and without repair, the leaf's answer arrived")
			}
			if b.headerErrors() == before {
				t.Error("Ip6InHdrErrors did not rise")
			}
			h := b.open(repair)
			state := b.attach(h, mode)
			if want := map[uplink.Mode]uplink.Mode{uplink.Auto: uplink.Generic}[mode]; want != "" && state.Mode != want {
				t.Errorf("on veth, %s is %s, want %s", mode, state.Mode, want)
			}
			before = b.headerErrors()
			seen := b.capture("ICMP echo reply", func() {
				b.eventually("the leaf answers", func() bool { return b.pings() })
			})
			if !strings.Contains(seen, "ethertype IPv4 (0x0800)") {
				t.Errorf("tcpdump saw no IPv4:\n%s", seen)
			}
			// Behind packet capture is too late for tcpdump.
			if state.Mode != uplink.TCX && strings.Contains(seen, "version error") {
				t.Errorf("tcpdump saw a broken frame:\n%s", seen)
			}
			const bytes = 30 << 20
			if n := b.transfer(bytes, func() { time.Sleep(time.Millisecond) }); n != bytes {
				t.Errorf("%d bytes of %d arrived", n, bytes)
			}
			if after := b.headerErrors(); after != before {
				t.Errorf("%d frames were not repaired", after-before)
			}
			c, err := h.Counters("up0")
			if err != nil || c.Repaired() < 20 || c.Seen < c.Repaired() || c.Doubtful() != 0 {
				t.Errorf("counters %+v (%v)", c, err)
			}
		})
	}
}

func TestJumbo(t *testing.T) {
	for _, mode := range []uplink.Mode{uplink.Native, uplink.Generic} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			b.run(b.host, "ip link set up0 mtu 9000")
			b.run(b.leaf, "ip link set port mtu 9000")
			b.breakLeaf()
			h := b.open(repair)
			if !uplink.HasFrags() && mode == uplink.Native {
				t.Log("this kernel has no native programs for frames of many pages")
				if s, err := b.tryAttach(h, mode); s.Status != uplink.Failed || err == nil {
					t.Errorf("%+v, %v", s, err)
				}
				return
			}
			if s := b.attach(h, mode); s.Program != "uplink_frags" && uplink.HasFrags() {
				t.Errorf("program %s, want the one for frames of any length", s.Program)
			}
			b.eventually("a large ping is answered", func() bool { return b.pings("-s", "8972", "-M", "do") })
			const bytes = 30 << 20
			if n := b.transfer(bytes, func() { time.Sleep(time.Millisecond) }); n != bytes {
				t.Errorf("%d bytes of %d arrived", n, bytes)
			}
		})
	}
}

// The agent restarts, again and again, during a transfer. A frame that met no program would be counted as a header error.
func TestRestartLosesNothing(t *testing.T) {
	for _, mode := range modes(t, uplink.Native, uplink.Generic, uplink.TCX) {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			b.breakLeaf()
			h := b.start(repair)
			if s := b.attach(h, mode); s.Unpinned != nil {
				t.Fatal(s.Unpinned)
			}
			b.eventually("the leaf answers", func() bool { return b.pings() })
			before, restarts, repaired := b.headerErrors(), 0, uint64(0)
			const bytes = 200 << 20
			n := b.transfer(bytes, func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
				h = b.start(repair)
				b.attach(h, mode)
				c, err := h.Counters("up0")
				if err != nil || c.Repaired() < repaired {
					t.Errorf("%d repaired after a restart, %d before (%v)", c.Repaired(), repaired, err)
				}
				repaired = c.Repaired()
				restarts++
			})
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if n != bytes {
				t.Errorf("%d bytes of %d arrived", n, bytes)
			}
			if after := b.headerErrors(); after != before || restarts == 0 || repaired == 0 {
				t.Errorf("%d frames were not repaired in %d restarts, and %d were", after-before, restarts, repaired)
			}
		})
	}
}

// With genuine IPv6, and without the fault, the program changes nothing.
func TestOtherTrafficPasses(t *testing.T) {
	b := newBench(t)
	h := b.open(repair)
	b.attach(h, uplink.Native)
	b.run(b.host, "ip address add 2001:db8::1/64 dev up0 nodad")
	b.run(b.leaf, "ip address add 2001:db8::2/64 dev port nodad")
	for _, to := range []string{leafAddress, "2001:db8::2"} {
		b.eventually(to+" answers", func() bool {
			_, err := b.host.Run(context.Background(), "ping", "-c1", "-W1", to)
			return err == nil
		})
	}
	c, err := h.Counters("up0")
	if err != nil || c.Repaired() != 0 || c.Doubtful() != 0 || c.Seen == 0 {
		t.Errorf("counters %+v (%v)", c, err)
	}
	if fmt.Sprint(h.Names()) != "[up0] <nil>" {
		t.Error(h.Names())
	}
}
