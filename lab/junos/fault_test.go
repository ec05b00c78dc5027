package junos_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/junos"
)

// A raw session is a client without any forgiveness.
type raw struct {
	client *ssh.Client
	in     io.Writer
	out    *bufio.Reader
}

// connect logs in and returns when the device has said hello.
func connect(t testing.TB, address string) (*raw, error) {
	t.Helper()
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "lab", Auth: []ssh.AuthMethod{ssh.Password("lab123")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("netconf"); err != nil {
		return nil, err
	}
	r := &raw{client, in, bufio.NewReader(out)}
	if _, err := r.message(); err != nil {
		return nil, err
	}
	_, err = io.WriteString(in, clientHello)
	return r, err
}

func mustConnect(t testing.TB, address string) *raw {
	t.Helper()
	r, err := connect(t, address)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// message reads up to the end of a message, or what there is before an end.
func (r *raw) message() (string, error) {
	var b bytes.Buffer
	for {
		part, err := r.out.ReadBytes('>')
		b.Write(part)
		if message, whole := bytes.CutSuffix(b.Bytes(), []byte("]]>]]>")); whole || err != nil {
			return string(message), err
		}
	}
}

func (r *raw) call(operation string) (string, error) {
	if _, err := io.WriteString(r.in, `<rpc message-id="1">`+operation+"</rpc>]]>]]>"); err != nil {
		return "", err
	}
	return r.message()
}

// soon is call for a reply that may not come.
func (r *raw) soon(operation string, patience time.Duration) (reply string, err error, came bool) {
	type result struct {
		reply string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		reply, err := r.call(operation)
		done <- result{reply, err}
	}()
	select {
	case got := <-done:
		return got.reply, got.err, true
	case <-time.After(patience):
		return "", nil, false
	}
}

func inject(t testing.TB, d *junos.Device, text string) int {
	t.Helper()
	f, err := junos.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	id, err := d.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestConnectionFaults ends, holds up and garbles what comes over the wire.
func TestConnectionFaults(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)

	t.Run("drop after some bytes", func(t *testing.T) {
		r := mustConnect(t, address)
		inject(t, device, "drop rpc=get-ipv6-nd-information after=150 nth=2")
		if reply, err := r.call(neighbors); err != nil || !strings.Contains(reply, "</rpc-reply>") {
			t.Errorf("the first: %v %s", err, reply)
		}
		if reply, err := r.call(neighbors); err == nil || len(reply) > 151 {
			t.Errorf("the second: %v %q", err, reply)
		}
	})
	t.Run("stall", func(t *testing.T) {
		r := mustConnect(t, address)
		inject(t, device, "stall after=10")
		if reply, err, came := r.soon(neighbors, 200*time.Millisecond); came {
			t.Errorf("it answered %q %v", reply, err)
		}
	})
	t.Run("stall for a time", func(t *testing.T) {
		r := mustConnect(t, address)
		inject(t, device, "stall after=10 delay=100ms")
		begin := time.Now()
		if reply, err := r.call(neighbors); err != nil || !strings.HasSuffix(reply, "</rpc-reply>\n") || time.Since(begin) < 100*time.Millisecond {
			t.Errorf("after %s: %v %q", time.Since(begin), err, reply)
		}
	})
	t.Run("dribble", func(t *testing.T) {
		r := mustConnect(t, address)
		inject(t, device, "dribble delay=50us")
		if reply, err := r.call(neighbors); err != nil || !strings.HasSuffix(reply, "</rpc-reply>\n") {
			t.Errorf("%v %q", err, reply)
		}
	})
	t.Run("noise", func(t *testing.T) {
		r := mustConnect(t, address)
		inject(t, device, `noise text="\a*** Broadcast ***\r\n"`)
		if reply, err := r.call(neighbors); err != nil || !strings.Contains(reply, "\a*** Broadcast ***\r\n<rpc-reply") {
			t.Errorf("%v %q", err, reply)
		}
	})
	t.Run("in the hello", func(t *testing.T) {
		inject(t, device, "drop rpc=hello after=60")
		if _, err := connect(t, address); err == nil {
			t.Error("a session")
		}
		inject(t, device, `error rpc=hello text="could not fork"`)
		if _, err := connect(t, address); err != nil {
			t.Error(err) // an error where the hello is expected is a message
		}
	})
	t.Run("at the door", func(t *testing.T) {
		for _, fault := range []string{"login", "drop rpc=connect"} {
			inject(t, device, fault)
			if _, err := connect(t, address); err == nil {
				t.Errorf("%s: let in", fault)
			}
		}
		inject(t, device, "slow rpc=connect delay=10ms")
		mustConnect(t, address)
	})
	t.Run("host key", func(t *testing.T) {
		seen := func() (key []byte) {
			client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
				User: "lab", Auth: []ssh.AuthMethod{ssh.Password("lab123")},
				HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { key = k.Marshal(); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
			return key
		}
		right := seen()
		id := inject(t, device, "host-key count=all")
		if bytes.Equal(seen(), right) || !bytes.Equal(seen(), seen()) {
			t.Error("not one other key")
		}
		if !device.Clear(id) || !bytes.Equal(seen(), right) {
			t.Error("the wrong key stays")
		}
	})
	if left := device.Faults(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if n := len(device.Strikes()); n < 11 {
		t.Errorf("%d strikes are logged", n)
	}
}

// TestCommitFaults loses the commit or its reply.
func TestCommitFaults(t *testing.T) {
	for fault, takesEffect := range map[string]bool{
		"reset-before": false, "reset-after": true, "drop rpc=commit-configuration": true,
		"full rpc=commit-configuration": false, "error": false, "refuse rpc=commit-configuration text=fe80::1": false,
		"slow delay=20ms": true, "malformed rpc=commit-configuration": true,
	} {
		t.Run(fault, func(t *testing.T) {
			cfg, w := world(t, "21.4R1")
			device, address := serve(t, cfg)
			r := mustConnect(t, address)
			for _, request := range []string{openEphemeral, stanza("fe80::1", "ge-0/0/1.0")} {
				if reply, err := r.call(request); err != nil || strings.Contains(reply, "rpc-error") {
					t.Fatalf("%s: %v %s", request, err, reply)
				}
			}
			inject(t, device, fault)
			reply, err := r.call(commit)
			answers := !strings.Contains(fault, "reset") && !strings.Contains(fault, "drop")
			if (err == nil) != answers {
				t.Errorf("%v %q", err, reply)
			}
			if answers && takesEffect == strings.Contains(reply, "rpc-error") {
				t.Errorf("reply %s", reply)
			}
			eventually(t, "its effect, or none", func() bool { return device.HasNeighbor("fe80::1") == takesEffect })
			if w.Established("ge-0/0/1.0", "fe80::1") != takesEffect {
				t.Error("the session is not as the commit")
			}
			// Nothing is left behind: another can open the instance.
			eventually(t, "the lock of the lost session released", func() bool {
				return answers || device.OpenedBy("lastmile") == ""
			})
		})
	}
}

func TestRefuse(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	inject(t, device, "refuse text=fe80::2 count=all")
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, d, stanza("fe80::2", "ge-0/0/2.0"), "<bad-element>neighbor fe80::2</bad-element>", "<load-error-count>1</load-error-count>")
	mustHold(t, d, stanza("fe80::1", "ge-0/0/1.0"), "<ok/>")
	mustHold(t, d, load("set protocols bgp group servers neighbor fe80::1 description fe80::2"), "<bad-element>description</bad-element>")
	mustHold(t, d, commit, "<ok/>")
	if got, _ := device.Ephemeral("lastmile"); got != "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0\n" {
		t.Errorf("committed: %s", got)
	}
}

func TestTableFaults(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	r := mustConnect(t, address)
	for _, test := range []struct {
		fault        string
		rows         int
		holds, lacks string
	}{
		{"truncate", 1, "<ipv6-nd-total>2<", ""},
		{"empty", 0, "<ipv6-nd-total>0<", ""},
		{"malformed text=ipv6-nd-entry", 2, "</ipv6-nd-information>", ""},
		{`error rpc=get-ipv6-nd-information text="rpd is not running"`, 0, "rpd is not running", "ipv6-nd-information"},
	} {
		inject(t, device, test.fault)
		reply, err := r.call(neighbors)
		if err != nil || strings.Count(reply, "<ipv6-nd-entry>") != test.rows || !strings.Contains(reply, test.holds) ||
			test.lacks != "" && strings.Contains(reply, test.lacks) {
			t.Errorf("%s: %v %s", test.fault, err, reply)
		}
		if opened, closed := strings.Count(reply, "<ipv6-nd-entry>"), strings.Count(reply, "</ipv6-nd-entry>"); (opened != closed) != strings.Contains(test.fault, "malformed") {
			t.Errorf("%s: %d start tags, %d end tags", test.fault, opened, closed)
		}
	}
	if reply, err := r.call(neighbors); err != nil || strings.Count(reply, "<ipv6-nd-entry>") != 2 {
		t.Errorf("afterwards: %v %s", err, reply)
	}
}

// TestFaultsAround are what others do to the device.
func TestFaultsAround(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)

	inject(t, device, "lock rpc=open-configuration delay=1h")
	mustHold(t, d, openEphemeral, "configuration database locked by:\n  admin", "lock-denied")
	mustHold(t, d, "<lock-configuration/>", "locked by:")
	device.ClearFaults()
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, d, closeOpen, "</rpc-reply>")
	inject(t, device, "lock rpc=open-configuration delay=50ms user=eve")
	mustHold(t, d, openEphemeral, "locked by:\n  eve")
	eventually(t, "eve lets go", func() bool { return strings.Contains(rpc(t, d, "<lock-configuration/>"), "<ok/>") })
	mustHold(t, d, "<unlock-configuration/>", "<ok/>")

	inject(t, device, "dirty rpc=lock-configuration")
	mustHold(t, d, "<lock-configuration/>", "configuration database modified")
	if !strings.Contains(device.Candidate(), "half-done") {
		t.Error("nothing half done")
	}
	device.ClearFaults()
	if strings.Contains(device.Candidate(), "half-done") {
		t.Error("still half done")
	}

	mustHold(t, d, openPrivate, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name mine.example"), "<ok/>")
	inject(t, device, "writer rpc=commit-configuration")
	mustHold(t, d, commit, "<load-error-count>1</load-error-count>", "system domain-name")
	if got := device.Committed(); !strings.Contains(got, "other.example") {
		t.Errorf("the first to commit does not win: %s", got)
	}
	mustHold(t, d, `<get-configuration format="set"/>`, "mine.example") // the edits stay
	mustHold(t, d, commit, "<commit-success/>")                         // and take effect at the second attempt
	if got := device.Committed(); !strings.Contains(got, "mine.example") {
		t.Errorf("committed: %s", got)
	}
	mustHold(t, d, commit, "<commit-results>\n</commit-results>\n<ok/>") // nothing to do
	mustHold(t, d, closeOpen, "</rpc-reply>")

	inject(t, device, "clock delay=-48h rpc=get-system-uptime-information")
	yesterday := time.Now().Add(-36 * time.Hour).Unix()
	var shown int64
	_, reply, _ := strings.Cut(rpc(t, d, "<get-system-uptime-information/>"), `junos:seconds="`)
	if _, err := fmt.Sscan(reply[:strings.IndexByte(reply, '"')], &shown); err != nil || shown == 0 || shown > yesterday {
		t.Errorf("the clock did not jump: %d %v", shown, err)
	}

	o := device.Operator("admin")
	defer o.Close()
	if err := o.CommitEphemeral(t.Context(), "lastmile", "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0"); err != nil {
		t.Fatal(err)
	}
	r := mustConnect(t, address)
	inject(t, device, "reboot rpc=get-ipv6-nd-information")
	if reply, err := r.call(neighbors); err == nil {
		t.Errorf("the session outlives the device: %s", reply)
	}
	eventually(t, "up again", func() bool { _, err := connect(t, address); return err == nil })
	eventually(t, "ephemeral data lost", func() bool { got, _ := device.Ephemeral("lastmile"); return got == "" })
}

// TestFaultsAreSeeded: the same seed strikes the same matches.
func TestFaultsAreSeeded(t *testing.T) {
	run := func(seed uint64) (out string) {
		cfg, _ := world(t, "21.4R1")
		cfg.Seed = seed
		device, _ := serve(t, cfg)
		inject(t, device, `error rpc=get-ipv6-nd-information chance=0.5 count=all text=unlucky`)
		o := device.Operator("admin")
		defer o.Close()
		for range 64 {
			if _, err := o.RPC(t.Context(), neighbors); err != nil {
				out += "x"
			} else {
				out += "."
			}
		}
		return out
	}
	one := run(1)
	if one != run(1) || one == run(2) || !strings.Contains(one, "x") || !strings.Contains(one, ".") {
		t.Errorf("seed 1: %s, again %s, seed 2: %s", one, run(1), run(2))
	}
}

// TestOperator is a second writer in every database.
func TestOperator(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o := device.Operator("admin")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(o.Edit(ctx, `set system login message "half & half"`))
	mustHold(t, d, openPrivate, "configuration database modified")
	if !strings.Contains(device.Candidate(), `message "half & half"`) || strings.Contains(device.Committed(), "half") {
		t.Errorf("candidate: %s", device.Candidate())
	}
	ok(o.Discard(ctx))
	ok(o.Lock(ctx))
	if device.LockedBy() != "admin" {
		t.Errorf("locked by %q", device.LockedBy())
	}
	mustHold(t, d, openPrivate, "locked by:\n  admin")
	ok(o.Edit(ctx, "set system host-name renamed"))
	ok(o.Commit(ctx))
	ok(o.Unlock(ctx))
	mustHold(t, d, committed, "set system host-name renamed")
	ok(o.Open(ctx, "lastmile"))
	mustHold(t, d, openEphemeral, "locked by:\n  admin")
	if err := o.Edit(ctx, "set nonsense"); err == nil {
		t.Error("nonsense was taken")
	}
	o.Close()
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	if device.OpenedBy("lastmile") != "lab" || len(device.Sessions()) != 1 {
		t.Errorf("opened by %q, sessions %v", device.OpenedBy("lastmile"), device.Sessions())
	}
	if _, err := device.Inject(junos.Fault{Kind: "burn"}); err == nil {
		t.Error("an unknown fault was taken")
	}
}

// TestDatabaseUsage grows with versions and ends at the limit.
func TestDatabaseUsage(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.DatabaseSize = 1 << 10
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, "<get-database-usage/>", "<maximum-size>0.00 MB</maximum-size>", "<available-space>")
	mustHold(t, d, "<get-database-usage><ephemeral-instance>other</ephemeral-instance></get-database-usage>", "not configured")
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name "+strings.Repeat("x", 1<<10)), "<ok/>")
	mustHold(t, d, commit, "could not allocate memory in database")
	if got, _ := device.Ephemeral("lastmile"); got != "" {
		t.Errorf("it was committed all the same: %.40s", got)
	}
	first := mustHold(t, d, "<get-commit-revision-information/>", "<revision>re0-")
	mustHold(t, d, closeOpen, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name x"), "<ok/>")
	mustHold(t, d, commit, "<ok/>")
	if again := rpc(t, d, "<get-commit-revision-information/>"); again == first {
		t.Error("the revision is the same after a commit")
	}
	mustHold(t, d, "<get-merged-configuration/>", "<domain-name>x</domain-name>")
}
