package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/junos"
)

// leaf is a simulated leaf that has nothing but SSH, and a configuration for it.
type leaf struct {
	t              *testing.T
	world          *junos.World
	device         *junos.Device
	config, dir    string
	netconf, shell string
}

func newLeaf(t *testing.T) *leaf {
	t.Helper()
	l := &leaf{t: t, dir: t.TempDir(), world: junos.NewWorld("et-0/0/48.0", "ge-0/0/1.0", "ge-0/0/2.0", "ge-0/0/3.0")}
	l.world.SetAddress("ge-0/0/3.0", "192.0.2.1/31")
	host, admin := l.key(""), l.key("admin")
	l.key("id_ed25519")
	console, netconf := l.listen(), l.listen()
	l.shell, l.netconf = console.Addr().String(), netconf.Addr().String()
	profile, err := junos.ProfileNamed("21.4R1")
	l.must(err)
	l.device, err = junos.New(junos.Config{
		World: l.world, Profile: profile, HostName: "leaf1", Model: "qfx5120-48y-8c", HostKey: host, CLI: console,
		Static: "set system host-name leaf1\nset system services ssh\nset routing-options autonomous-system 65001\n",
		Users:  []junos.User{{Name: "admin", AuthorizedKeys: []ssh.PublicKey{admin.PublicKey()}}},
	})
	l.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.device.Serve(ctx, netconf) }()
	t.Cleanup(func() {
		cancel()
		l.must(<-ended)
	})
	known := knownhosts.Line([]string{l.netconf}, host.PublicKey()) + "\n" + knownhosts.Line([]string{l.shell}, host.PublicKey()) + "\n"
	l.must(os.WriteFile(filepath.Join(l.dir, "known_hosts"), []byte(known), 0o600))
	l.config = filepath.Join(l.dir, "switchagent.yaml")
	l.write("listen: ''\nunknown: accept\n")
	return l
}

// write writes the configuration.
func (l *leaf) write(more string) {
	l.t.Helper()
	l.must(os.WriteFile(l.config, fmt.Appendf(nil,
		"target: %s\nuser: switchagent\nkey: %s/id_ed25519\nknown_hosts: %s/known_hosts\ngroup: servers\ninterfaces: [ge-0/0/*.0]\n%s",
		l.netconf, l.dir, l.dir, more), 0o600))
}

// inventory writes one of two servers, the first with a key, and makes it the configuration's.
func (l *leaf) inventory() {
	l.t.Helper()
	key := filepath.Join(l.dir, "bms1.key")
	l.must(os.WriteFile(key, []byte("Hush-4711\n"), 0o600))
	l.must(os.WriteFile(filepath.Join(l.dir, "inventory.csv"), []byte("port,server,as,prefixes,shared,mac,key_file\n"+
		"ge-0/0/1.0,bms1,4200000101,10.0.0.101/32 2001:db8::101/128,10.9.9.53/32,52:54:00:00:01:01,"+key+"\n"+
		"ge-0/0/2.0,bms2,4200000102,10.0.0.102/32,10.9.9.53/32,,\n"), 0o600))
	l.write("listen: ''\ninventory: " + l.dir + "/inventory.csv\n")
}

func (l *leaf) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *leaf) listen() net.Listener {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	return listener
}

// key makes a key whose text is the same in every run.
func (l *leaf) key(name string) ssh.Signer {
	l.t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(len(name) + 1)}, ed25519.SeedSize))
	block, err := ssh.MarshalPrivateKey(private, "")
	l.must(err)
	if name != "" {
		l.must(os.WriteFile(filepath.Join(l.dir, name), pem.EncodeToMemory(block), 0o600))
	}
	signer, err := ssh.NewSignerFromKey(private)
	l.must(err)
	return signer
}

var keyText = regexp.MustCompile(`AAAA[A-Za-z0-9+/=]{20,}`)

// run runs a command and wants an exit status.
func (l *leaf) run(status int, args ...string) (out string) {
	l.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(append(args, "--config", l.config))
	err := cmd.ExecuteContext(l.t.Context())
	if got := exitStatus(err); got != status {
		l.t.Errorf("%q: status %d, want %d: %v\n%s%s", args, got, status, err, stdout.String(), stderr.String())
	}
	if status == 1 {
		fmt.Fprintln(&stdout, "switchagent:", err)
	}
	out = stdout.String()
	if strings.Contains(out+stderr.String(), "Hush") {
		l.t.Errorf("%q: the key is shown", args)
	}
	for from, to := range map[string]string{l.netconf: "leaf1.example.net:830", l.shell: "leaf1.example.net:22", l.dir: "/etc/switchagent"} {
		out = strings.ReplaceAll(out, from, to)
	}
	return keyText.ReplaceAllString(out, "AAAA...")
}

// documented runs a command, and wants its output in docs/switchagent-commands.md as it is there.
func (l *leaf) documented(doc string, status int, args ...string) string {
	l.t.Helper()
	out := l.run(status, args...)
	var shown []string
	for _, arg := range args {
		switch {
		case strings.HasPrefix(arg, l.dir):
			arg = "~/.ssh/id_ed25519"
		case arg == "--cli" || arg == l.shell:
			continue
		}
		shown = append(shown, arg)
	}
	block := "$ switchagent " + strings.Join(shown, " ") + "\n" + out
	if !strings.Contains(doc, block) {
		l.t.Errorf("docs/switchagent-commands.md does not show\n%s", block)
	}
	return out
}

// TestADayOfCommands is the story that docs/switchagent-commands.md tells, from the first configuration of a leaf
// to the end; every output is there word by word.
func TestADayOfCommands(t *testing.T) {
	text, err := os.ReadFile("../../docs/switchagent-commands.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	l := newLeaf(t)
	l.inventory()
	login := []string{"--login", "admin", "--login-key", filepath.Join(l.dir, "admin"), "--cli", l.shell}
	l.documented(doc, 2, append([]string{"bootstrap"}, login...)...)
	out := l.run(0, append([]string{"bootstrap", "--apply"}, login...)...)
	if !strings.Contains(out, "# committed") || !strings.Contains(out, "(cli)") {
		t.Errorf("bootstrap: %s", out)
	}
	l.documented(doc, 0, append([]string{"bootstrap", "--apply"}, login...)...)
	l.documented(doc, 0, "doctor")

	l.must(l.world.Plug("ge-0/0/1.0", "fe80::5054:ff:fe00:101", "52:54:00:00:01:01"))
	l.world.SetNeighbors([]junos.Neighbor{
		{Address: "fe80::5054:ff:fe00:101", MAC: "52:54:00:00:01:01", State: "reachable", Interface: "ge-0/0/1.0", Router: true, Expire: 30},
		{Address: "fe80::5054:ff:fe00:202", MAC: "52:54:00:00:02:02", State: "stale", Interface: "ge-0/0/2.0", Expire: 700},
	})
	l.documented(doc, 2, "plan")
	l.documented(doc, 0, "apply")
	l.documented(doc, 0, "plan")
	l.documented(doc, 0, "show", "neighbors")
	l.documented(doc, 0, "show", "stanzas")
	l.documented(doc, 0, "show", "inventory")
	l.documented(doc, 0, "rollback")
	l.documented(doc, 2, "rollback", "--end-sessions")

	operator := l.device.Operator("admin")
	defer operator.Close()
	l.must(operator.CommitPrivate(t.Context(), "delete protocols bgp group servers family inet unicast extended-nexthop\n"+
		"deactivate protocols router-advertisement interface ge-0/0/2.0"))
	l.documented(doc, 1, "doctor")
}

// TestJSON: every command has a form for scripts.
func TestJSON(t *testing.T) {
	l := newLeaf(t)
	login := []string{"--peer-as", "64512", "--login", "admin", "--login-key", filepath.Join(l.dir, "admin"), "--cli", l.shell}
	for _, tt := range []struct {
		status int
		args   []string
		want   string
	}{
		{1, []string{"doctor"}, `"mend": [`},
		{2, append([]string{"bootstrap"}, login...), `"missing": [`},
		{0, append([]string{"bootstrap", "--apply"}, login...), `"applied": true`},
		{0, []string{"plan"}, `"commands": []`},
		{0, []string{"apply"}, `"established": 0`},
		{0, []string{"apply"}, `"applied": false`},
		{0, []string{"rollback"}, `"commands": []`},
		{0, []string{"show", "neighbors"}, `[]`},
		{0, []string{"show", "stanzas"}, `[]`},
	} {
		out := l.run(tt.status, append(tt.args, "-o", "json")...)
		text, _, _ := strings.Cut(out, "switchagent: ")
		if !json.Valid([]byte(text)) || !strings.Contains(text, tt.want) {
			t.Errorf("%q: %s\nwant %s in it", tt.args, text, tt.want)
		}
	}
	l.inventory()
	l.must(l.world.Plug("ge-0/0/1.0", "fe80::1", "52:54:00:00:01:01"))
	for want, args := range map[string][]string{"authentication-key ***": {"plan", "-o", "json"}, `"server": "bms1"`: {"show", "inventory", "-o", "json"}} {
		status := 0
		if args[0] == "plan" {
			status = 2
		}
		if out := l.run(status, args...); !json.Valid([]byte(out)) || !strings.Contains(out, want) {
			t.Errorf("%q: %s\nwant %s in it", args, out, want)
		}
	}
	l.run(1, "plan", "-o", "yaml")
}

// TestApplyConfirm: only the shared candidate can be committed on trial.
func TestApplyConfirm(t *testing.T) {
	l := newLeaf(t)
	for _, args := range [][]string{{"apply", "--confirm", "2m"}, {"apply", "--confirm", "30s"}} {
		if out := l.run(1, args...); !strings.Contains(out, "only in shared") {
			t.Errorf("%q: %s", args, out)
		}
	}
	l.write("listen: ''\nunknown: accept\ndatabase: shared\n")
	for _, window := range []string{"-2m", "0s"} {
		if out := l.run(1, "apply", "--confirm", window); strings.Contains(out, "confirm_after") || !strings.Contains(out, "whole minutes") {
			t.Errorf("%s: %s", window, out)
		}
	}
	if out := l.run(1, "apply", "--confirm", "30s"); !strings.Contains(out, "confirm:") {
		t.Errorf("half a minute: %s", out)
	}
	login := []string{"--peer-as", "64512", "--login", "admin", "--login-key", filepath.Join(l.dir, "admin"), "--cli", l.shell}
	l.run(0, append([]string{"bootstrap", "--apply"}, login...)...)
	l.must(l.world.Plug("ge-0/0/1.0", "fe80::1", "52:54:00:00:01:01"))
	l.run(0, "apply", "--confirm", "2m")
	if !l.device.HasNeighbor("fe80::1") || l.device.LockedBy() != "" {
		t.Errorf("locked by %q:\n%s", l.device.LockedBy(), l.device.Committed())
	}
}

// TestRollbackBesideADaemon: it would put everything back.
func TestRollbackBesideADaemon(t *testing.T) {
	l := newLeaf(t)
	daemon := httptest.NewServer(http.NotFoundHandler())
	defer daemon.Close()
	l.write("listen: " + strings.TrimPrefix(daemon.URL, "http://") + "\nunknown: accept\n")
	if out := l.run(1, "rollback", "--yes"); !strings.Contains(out, "stop it first") {
		t.Errorf("%s", out)
	}
}

// TestPortKeyForAllToRead: it is used, and check warns.
func TestPortKeyForAllToRead(t *testing.T) {
	l := newLeaf(t)
	l.inventory()
	var stderr bytes.Buffer
	check := func() string {
		stderr.Reset()
		cmd := rootCommand()
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&stderr)
		cmd.SetArgs([]string{"check", "--config", l.config})
		l.must(cmd.ExecuteContext(t.Context()))
		return stderr.String()
	}
	if out := check(); out != "" {
		t.Errorf("warned of nothing: %s", out)
	}
	l.must(os.Chmod(filepath.Join(l.dir, "bms1.key"), 0o644))
	if out := check(); !strings.Contains(out, "key of port ge-0/0/1.0") || !strings.Contains(out, "mode 0644") {
		t.Errorf("warned: %q", out)
	}
}
