package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// leaf1Address is the leaf's own.
var leaf1Address = netip.MustParseAddr("10.255.255.1")

// repairFigures are what became of a ping and a TCP session to the leaf's own address, without the repair and with it.
type repairFigures struct {
	Without reach `json:"withoutRepair"`
	With    reach `json:"withRepair"`
}

// reach is what one try showed.
type reach struct {
	Ping bool `json:"ping"`
	TCP  bool `json:"tcp"`
	// HeaderErrors is by how much Ip6InHdrErrors rose: frames that the kernel dropped.
	HeaderErrors int `json:"ip6InHdrErrors"`
	// Frame is tcpdump's line about the first answer.
	Frame string `json:"frame"`
}

func repair() Scene {
	return Scene{
		Name:     "repair",
		Expected: "leaf1's own address answers bms1, with the repair only",
		play:     playRepair,
	}
}

func playRepair(ctx context.Context, f *Fabric) (out outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errTooLong)
	defer cancel()
	a, err := f.answer("leaf1", netip.AddrPortFrom(leaf1Address, trafficPort))
	if err != nil {
		return outcome{}, err
	}
	defer a.Close()
	var g repairFigures
	leaf, _ := f.Topology.Node("leaf1")
	if leaf.Kind != LeafJunos {
		g.With, err = f.reach(ctx, "bms1")
		return outcome{holds: g.With.all(), seen: "leaf1 is no Junos and marks its packets right: " + g.With.String(), figures: g}, err
	}
	if err := f.orderRepair(ctx, "bms1", "detach"); err != nil {
		return outcome{}, err
	}
	g.Without, err = f.reach(ctx, "bms1")
	// Whatever was seen, it goes on again.
	if err := errors.Join(err, f.orderRepair(ctx, "bms1", "attach")); err != nil {
		return outcome{}, err
	}
	if g.With, err = f.reach(ctx, "bms1"); err != nil {
		return outcome{}, err
	}
	return g.judge(), nil
}

func (g repairFigures) judge() outcome {
	return outcome{
		holds: !g.Without.Ping && !g.Without.TCP && g.Without.HeaderErrors > 0 &&
			g.With.all() && g.With.HeaderErrors == 0 && strings.Contains(g.With.Frame, "ethertype IPv4 (0x0800)"),
		seen:    fmt.Sprintf("off: %s; on: %s", g.Without, g.With),
		details: fmt.Sprintf("  tcpdump on bms1, repair off: %s\n  tcpdump on bms1, repair on:  %s", g.Without.Frame, g.With.Frame),
		figures: g,
	}
}

func (r reach) all() bool { return r.Ping && r.TCP }

func (r reach) String() string {
	word := map[bool]string{true: "works", false: "fails"}
	return fmt.Sprintf("ping %s, TCP %s, Ip6InHdrErrors +%d", word[r.Ping], word[r.TCP], r.HeaderErrors)
}

// orderRepair has a server's hostagent take its program off or put it on.
func (f *Fabric) orderRepair(ctx context.Context, server, what string) error {
	_, err := f.spaces[server].Run(ctx, f.binaries.HostAgent, "repair", what, "--socket", f.hostSocket(server))
	return err
}

// reach tries to reach leaf1's own address from a server, under the eyes of tcpdump.
func (f *Fabric) reach(ctx context.Context, server string) (r reach, err error) {
	before, err := f.headerErrors(server)
	if err != nil {
		return r, err
	}
	r.Frame, err = f.capture(ctx, server, f.uplinkTo(server, "leaf1"), func() error {
		var group errgroup.Group
		group.Go(func() error {
			_, err := f.spaces[server].Run(ctx, "ping", "-c1", "-W1", leaf1Address.String())
			r.Ping = err == nil
			return context.Cause(ctx)
		})
		group.Go(func() error {
			r.TCP = f.connects(ctx, server)
			return context.Cause(ctx)
		})
		return group.Wait()
	})
	if err != nil {
		return r, err
	}
	after, err := f.headerErrors(server)
	r.HeaderErrors = after - before
	return r, err
}

// connects makes one TCP session with leaf1's own address.
func (f *Fabric) connects(ctx context.Context, server string) bool {
	var conn net.Conn
	err := f.spaces[server].Do(func() (err error) {
		dialer := net.Dialer{Timeout: time.Second}
		conn, err = dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(leaf1Address, trafficPort).String())
		return err
	})
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(callTimeout))
	if _, err := io.WriteString(conn, "who is there?\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "leaf1\n"
}

// headerErrors is the kernel's count of IPv6 packets with a bad header, a wrong version among others.
func (f *Fabric) headerErrors(node string) (int, error) {
	out, err := f.spaces[node].Run(context.Background(), "cat", "/proc/thread-self/net/snmp6")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(out)) {
		if value, ok := strings.CutPrefix(line, "Ip6InHdrErrors"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New(node + ": /proc/net/snmp6 has no Ip6InHdrErrors")
}

// leafAnswers are frames with IPv4 from leaf1's own address, marked as such or as IPv6.
const leafAnswers = "src host 10.255.255.1 or (ether proto 0x86dd and ether[14] & 0xf0 = 0x40)"

// capture returns tcpdump's line about the first of leafAnswers that comes in while do runs.
func (f *Fabric) capture(ctx context.Context, node, iface string, do func() error) (frame string, err error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, "tcpdump", "-enlt", "-c1", "--immediate-mode", "-i", iface, "-Q", "in", leafAnswers)
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := f.spaces[node].Start(cmd); err != nil {
		return "", fmt.Errorf("%s: starting tcpdump: %w", node, err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "listening on") {
	}
	err = do()
	// With an answer it has ended by itself.
	signalled := cmd.Process.Signal(unix.SIGINT)
	for lines.Scan() {
	}
	if err := errors.Join(err, lines.Err(), cmd.Wait()); err != nil {
		return "", fmt.Errorf("%s: tcpdump: %w (%v)", node, err, signalled)
	}
	frame, _, _ = strings.Cut(out.String(), "\n")
	if frame == "" {
		frame = "no answer"
	}
	return frame, nil
}
