package junos_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/scrapli/scrapligo/driver/network"
	"github.com/scrapli/scrapligo/driver/options"
	"github.com/scrapli/scrapligo/platform"
	"golang.org/x/crypto/ssh"

	"lastmile/lab/junos"
)

// withCLI serves a device that has a command line as well.
func withCLI(t testing.TB, cfg junos.Config) (d *junos.Device, netconf, cli string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.CLI = l
	d, netconf = serve(t, cfg)
	return d, netconf, l.Addr().String()
}

// scrapliCLI logs in with a client of the command line that is not ours.
func scrapliCLI(t testing.TB, address string) *network.Driver {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	fmt.Sscan(port, &number)
	p, err := platform.NewPlatform("juniper_junos", host, options.WithPort(number),
		options.WithAuthUsername("lab"), options.WithAuthPassword("lab123"), options.WithAuthNoStrictKey(),
		options.WithTransportType("standard"), options.WithTimeoutOps(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.GetNetworkDriver()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(); err != nil {
		t.Fatalf("logging in: %v", err)
	}
	closeAtEnd(t, d)
	return d
}

func cliCommand(t testing.TB, d *network.Driver, command string, parts ...string) string {
	t.Helper()
	r, err := d.SendCommand(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	for _, part := range parts {
		if !strings.Contains(r.Result, part) {
			t.Errorf("%s:\n%s\nwant %q in it", command, r.Result, part)
		}
	}
	return r.Result
}

// TestScrapliShows drives the operational mode with scrapligo's Junos driver.
func TestScrapliShows(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	_, _, cli := withCLI(t, cfg)
	d := scrapliCLI(t, cli)
	cliCommand(t, d, "show version", "21.4R1.12")
	cliCommand(t, d, "show ipv6 neighbors", "fe80::abcd", "52:54:00:00:00:01", "ge-0/0/2.0", "Total entries: 2")
	cliCommand(t, d, "show ipv6 neighbors | match abcd | count", "Count: 1 lines")
	cliCommand(t, d, "show ipv6 neighbors | display xml | no-more",
		`<rpc-reply xmlns:junos="http://xml.juniper.net/junos/21.4R0/junos">`, "<ipv6-nd-neighbor-address>fe80::1</ipv6-nd-neighbor-address>", "<banner></banner>", "</rpc-reply>")
	cliCommand(t, d, "show configuration protocols bgp | display set", "set protocols bgp group servers type external")
	cliCommand(t, d, "show interfaces terse ge-9/9/9.0", "error: device ge-9/9/9.0 not found")
	cliCommand(t, d, "frobnicate", "unknown command")
	cliCommand(t, d, "show nonsense", "syntax error")
}

// TestScrapliEnablesNetconf drives the configuration mode with it, from a device that has no NETCONF yet.
func TestScrapliEnablesNetconf(t *testing.T) {
	cfg, w := world(t, "21.4R1")
	cfg.Static = strings.Replace(cfg.Static, "set system services netconf ssh\n", "", 1)
	device, netconf, cli := withCLI(t, cfg)
	if _, err := connect(t, netconf); err == nil {
		t.Error("NETCONF without being configured")
	}
	if _, err := connect(t, cli); err == nil {
		t.Error("the subsystem without being configured")
	}
	r, err := scrapliCLI(t, cli).SendConfigs([]string{
		"set system services netconf ssh",
		"set system login user agent class super-user",
		"delete system domain-name",
		"show | compare",
		"commit check",
		"commit",
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "", "warning: statement not found", "+      netconf {", "configuration check succeeds", "commit complete"} {
		if got := r.Responses[i].Result; !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", r.Responses[i].Input, got, want)
		}
	}
	if r.Failed != nil {
		t.Errorf("failed: %v", r.Failed)
	}
	if !strings.Contains(device.Committed(), "set system login user agent class super-user") {
		t.Errorf("committed: %s", device.Committed())
	}
	for name, address := range map[string]string{"port 830": netconf, "the subsystem of port 22": cli} {
		if _, err := connect(t, address); err != nil {
			t.Errorf("%s after the commit: %v", name, err)
		}
	}
	if len(w.Disturbed()) > 0 {
		t.Errorf("disturbed: %q", w.Disturbed())
	}
}

// TestScrapliSeesRefusals: what the device refuses is an error for scrapligo, and disturbs no session.
func TestScrapliSeesRefusals(t *testing.T) {
	cfg, w := world(t, "21.4R1")
	_, _, cli := withCLI(t, cfg)
	bad, err := scrapliCLI(t, cli).SendConfigs([]string{"set protocols bgp grup x", "set protocols bgp group servers neighbor fe80::9", "commit", "rollback", "show | compare"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"syntax error", "", "error: configuration check-out failed", "load complete", ""} {
		if got := bad.Responses[i].Result; !strings.Contains(got, want) || want == "" && strings.TrimSpace(got) != "[edit]" {
			t.Errorf("%s: %q, want %q", bad.Responses[i].Input, got, want)
		}
	}
	if bad.Failed == nil {
		t.Error("scrapligo did not see the syntax error")
	}
	if len(w.Disturbed()) > 0 {
		t.Errorf("disturbed: %q", w.Disturbed())
	}
}

// A terminal is somebody who types.
type terminal struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

func openTerminal(t testing.TB, address string) *terminal {
	t.Helper()
	l := logIn(t, address, wayIn{ssh.Password("lab123"), func(s *ssh.Session) error {
		if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
			return err
		}
		return s.Shell()
	}})
	// Whoever waits for what never comes is told what came.
	late := time.AfterFunc(20*time.Second, func() { l.client.Close() })
	t.Cleanup(func() { late.Stop() })
	term := &terminal{t, l.in, bufio.NewReader(l.out)}
	term.until("> ")
	return term
}

// until reads until the text ends with end.
func (c *terminal) until(end string) string {
	c.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		r, _, err := c.out.ReadRune()
		if err != nil {
			c.t.Fatalf("waiting for %q: %v after %q", end, err, b.String())
		}
		b.WriteRune(r)
	}
	return b.String()
}

// types sends a line and reads up to what ends the answer.
func (c *terminal) types(line, end string, parts ...string) string {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	c.until("\r\n") // the echo
	answer := c.until(end)
	for _, part := range parts {
		if !strings.Contains(answer, part) {
			c.t.Errorf("%s:\n%s\nwant %q in it", line, answer, part)
		}
	}
	return answer
}

// What stands before the cursor.
const atExec, atConfig, atQuestion = "lab@leaf1> ", "lab@leaf1# ", "(yes) "

// TestTerminalExclusive is what a person meets who wants the configuration alone, and their neighbour.
func TestTerminalExclusive(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	_, _, cli := withCLI(t, cfg)
	c, other := openTerminal(t, cli), openTerminal(t, cli)
	c.types("configure exclusive", atConfig, "warning: uncommitted changes will be discarded on exit", "Entering configuration mode", "[edit]")
	other.types("configure private", atExec, "error: configuration database locked by:\r\n  lab")
	c.types("set system domain-nam\x7fme x.example", atConfig)
	c.types("exit", atQuestion, "Discard uncommitted changes?")
	c.types("no", atConfig)
	c.types("commit and-quit", atExec, "commit complete", "Exiting configuration mode")
}

// TestTerminalPrivate has a private copy, and then a commit on trial that nobody confirms.
func TestTerminalPrivate(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Minute = 200 * time.Millisecond
	device, _, cli := withCLI(t, cfg)
	c := openTerminal(t, cli)
	c.types("configure private", atConfig)
	c.types("load set terminal", "input]\r\n")
	io.WriteString(c.in, "set system host-name leaf9\ndelete system domain-name\n\x04")
	c.until("# ")
	c.types("show system | display set", atConfig, "set system host-name leaf9")
	c.types("commit confirmed 1", atConfig, "error: commit confirmed and commit check are not supported in this configuration mode")
	c.types("exit", atQuestion)
	c.types("", atExec)
	c.types("configure exclusive", atConfig)
	c.types("set system host-name leaf9", atConfig)
	c.types("commit confirmed 1", "leaf9# ", "automatically rolled back in 1 minutes", "commit complete")
	eventually(t, "rolled back", func() bool { return strings.Contains(device.Committed(), "leaf1") })
}

// TestTerminalLoads has text loaded, run commands, and rollbacks.
func TestTerminalLoads(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	_, _, cli := withCLI(t, cfg)
	c := openTerminal(t, cli)
	c.types("configure", atConfig)
	c.types("set system time-zone UTC", atConfig)
	c.types("commit", atConfig, "commit complete")
	c.types("top", atConfig)
	c.types("load merge terminal", "input]\r\n")
	io.WriteString(c.in, "system { nonsense; }\n\x04")
	if answer := c.until(atConfig); !strings.Contains(answer, "load complete (1 errors)") {
		t.Errorf("load: %s", answer)
	}
	c.types("run show bgp summary", atConfig, "bgp-information:")
	c.types("rollback 1", atConfig, "load complete")
	c.types("rollback 49", atConfig, "error:")
	c.types("rollback", atConfig)
	c.types("exit", atExec)
}

// TestTerminalBesideOthers meets what others have left in the shared candidate and in an ephemeral instance.
func TestTerminalBesideOthers(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, _, cli := withCLI(t, cfg)
	c := openTerminal(t, cli)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o := device.Operator("admin")
	defer o.Close()
	if err := o.Edit(ctx, "set system time-zone UTC"); err != nil {
		t.Fatal(err)
	}
	c.types("configure private", atExec, "error: configuration database modified")
	c.types("configure", atConfig, "The configuration has been changed but not committed")
	c.types("show | compare", atConfig, "+  time-zone UTC;")
	c.types("exit", atQuestion, "Exit with uncommitted changes?")
	c.types("yes", atExec)
	if err := o.CommitEphemeral(ctx, "lastmile", "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0"); err != nil {
		t.Fatal(err)
	}
	c.types("show ephemeral-configuration instance lastmile | display set", atExec, "neighbor fe80::1 local-interface")
	c.types("show ephemeral-configuration lastmile | display xml", atExec, "<name>fe80::1</name>")
	c.types("show ephemeral-configuration instance other", atExec, "error:")
	c.types("show system configuration database usage", atExec, "maximum-size: 450.00 MB")
}

// TestTerminalFault: a fault strikes the command line too.
func TestTerminalFault(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, _, cli := withCLI(t, cfg)
	c := openTerminal(t, cli)
	inject(t, device, "drop rpc=get-ipv6-nd-information after=80")
	if _, err := io.WriteString(c.in, "show ipv6 neighbors | display xml\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.out); err == nil && strings.Contains(string(rest), "</rpc-reply>") {
		t.Errorf("the fault let all through: %s", rest)
	}
}

// TestOneCommand is `ssh leaf1 COMMAND`.
func TestOneCommand(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	_, _, cli := withCLI(t, cfg)
	_, session := dialIn(t, cli, usual.auth)
	out, err := session.Output("show ipv6 neighbors | display xml | no-more")
	if err != nil || !strings.Contains(string(out), "<ipv6-nd-total>2</ipv6-nd-total>") {
		t.Errorf("%v: %s", err, out)
	}
}
