package junos_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/junos"
)

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

// TestConnectionFaults ends, holds up and garbles what comes over the wire, one after the other.
func TestConnectionFaults(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	for _, test := range []struct {
		name string
		test func(*testing.T, *junos.Device, string)
	}{
		{"drop after some bytes", drops},
		{"stall", stalls},
		{"stall for a time", stallsForATime},
		{"dribble", dribbles},
		{"noise", makesNoise},
		{"in the hello", failsInTheHello},
		{"at the door", failsAtTheDoor},
		{"host key", showsAnotherKey},
		{"a session that lingers", lingers},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, device, address) })
	}
	if left := device.Faults(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if n := len(device.Strikes()); n < 11 {
		t.Errorf("%d strikes are logged", n)
	}
}

func drops(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	inject(t, device, "drop rpc=get-ipv6-nd-information after=150 nth=2")
	if reply, err := r.call(neighbors); err != nil || !strings.Contains(reply, "</rpc-reply>") {
		t.Errorf("the first: %v %s", err, reply)
	}
	if reply, err := r.call(neighbors); err == nil || len(reply) > 151 {
		t.Errorf("the second: %v %q", err, reply)
	}
}

func stalls(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	inject(t, device, "stall after=10")
	if reply, err, came := r.soon(neighbors, 200*time.Millisecond); came {
		t.Errorf("it answered %q %v", reply, err)
	}
}

func stallsForATime(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	inject(t, device, "stall after=10 delay=100ms")
	begin := time.Now()
	if reply, err := r.call(neighbors); err != nil || !strings.HasSuffix(reply, "</rpc-reply>\n") || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("after %s: %v %q", time.Since(begin), err, reply)
	}
}

func dribbles(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	inject(t, device, "dribble delay=50us")
	if reply, err := r.call(neighbors); err != nil || !strings.HasSuffix(reply, "</rpc-reply>\n") {
		t.Errorf("%v %q", err, reply)
	}
}

func makesNoise(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	inject(t, device, `noise text="\a*** Broadcast ***\r\n"`)
	if reply, err := r.call(neighbors); err != nil || !strings.Contains(reply, "\a*** Broadcast ***\r\n<rpc-reply") {
		t.Errorf("%v %q", err, reply)
	}
}

func failsInTheHello(t *testing.T, device *junos.Device, address string) {
	inject(t, device, "drop rpc=hello after=60")
	if _, err := connect(t, address); err == nil {
		t.Error("a session")
	}
	inject(t, device, `error rpc=hello text="could not fork"`)
	if _, err := connect(t, address); err != nil {
		t.Error(err) // an error where the hello is expected is a message
	}
}

func failsAtTheDoor(t *testing.T, device *junos.Device, address string) {
	for _, fault := range []string{"login", "drop rpc=connect"} {
		inject(t, device, fault)
		if _, err := connect(t, address); err == nil {
			t.Errorf("%s: let in", fault)
		}
	}
	inject(t, device, "slow rpc=connect delay=10ms")
	mustConnect(t, address)
}

func showsAnotherKey(t *testing.T, device *junos.Device, address string) {
	seen := func() []byte { return hostKey(t, address) }
	right := seen()
	id := inject(t, device, "host-key count=all")
	if bytes.Equal(seen(), right) || !bytes.Equal(seen(), seen()) {
		t.Error("not one other key")
	}
	if !device.Clear(id) || !bytes.Equal(seen(), right) {
		t.Error("the wrong key stays")
	}
}

func lingers(t *testing.T, device *junos.Device, address string) {
	r := mustConnect(t, address)
	if _, err := r.call(openEphemeral); err != nil {
		t.Fatal(err)
	}
	inject(t, device, "linger delay=150ms")
	begin := time.Now()
	r.client.Close()
	eventually(t, "the lock released", func() bool { return device.OpenedBy("lastmile") == "" })
	if after := time.Since(begin); after < 150*time.Millisecond {
		t.Errorf("released after %s", after)
	}
}

// hostKey is what the device says it is.
func hostKey(t *testing.T, address string) (key []byte) {
	t.Helper()
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

// TestOthersHoldTheConfiguration: somebody locks it, or has edited the candidate.
func TestOthersHoldTheConfiguration(t *testing.T) {
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
}

// TestOthersCommitFirst: who commits a private copy later has to look again.
func TestOthersCommitFirst(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, openPrivate, "</rpc-reply>")
	mustHold(t, d, load("set system domain-name mine.example"), "<ok/>")
	id := inject(t, device, "writer rpc=commit-configuration count=all")
	mustHold(t, d, commit, "<load-error-count>1</load-error-count>", "system domain-name")
	if got := device.Committed(); !strings.Contains(got, "other.example") {
		t.Errorf("the first to commit does not win: %s", got)
	}
	device.Clear(id)
	mustHold(t, d, `<get-configuration format="set"/>`, "mine.example") // the edits stay
	mustHold(t, d, commit, "<commit-success/>")                         // and take effect at the second attempt
	if got := device.Committed(); !strings.Contains(got, "mine.example") {
		t.Errorf("committed: %s", got)
	}
	mustHold(t, d, commit, "<commit-results>\n</commit-results>\n<ok/>") // nothing to do
	mustHold(t, d, closeOpen, "</rpc-reply>")
}

func TestTheClockJumps(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	d := dial(t, address)
	inject(t, device, "clock delay=-48h rpc=get-system-uptime-information")
	yesterday := time.Now().Add(-36 * time.Hour).Unix()
	var shown int64
	_, reply, _ := strings.Cut(rpc(t, d, "<get-system-uptime-information/>"), `junos:seconds="`)
	if _, err := fmt.Sscan(reply[:strings.IndexByte(reply, '"')], &shown); err != nil || shown == 0 || shown > yesterday {
		t.Errorf("the clock did not jump: %d %v", shown, err)
	}
}

// TestReboot: a boot ends sessions and takes ephemeral data with it, and is no commit.
func TestReboot(t *testing.T) {
	cfg, w := world(t, "21.4R1")
	device, address := serve(t, cfg)
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
	if disturbed := w.Disturbed(); len(disturbed) > 0 {
		t.Errorf("a boot is no commit: %q", disturbed)
	}
	eventually(t, "ephemeral data lost", func() bool { got, _ := device.Ephemeral("lastmile"); return got == "" })
}

// TestFaultsAreSeeded: the same seed strikes the same matches.
func TestFaultsAreSeeded(t *testing.T) {
	run := func(seed uint64) (out string) {
		cfg, _ := world(t, "21.4R1")
		cfg.Seed = seed
		device, address := serve(t, cfg)
		inject(t, device, `error rpc=get-ipv6-nd-information chance=0.5 count=all text=unlucky`)
		r := mustConnect(t, address)
		for range 64 {
			reply, err := r.call(neighbors)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(reply, "unlucky") {
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
