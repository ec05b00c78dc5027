package junos_test

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/junos"
)

// A wayIn is how a client logs in and starts NETCONF.
type wayIn struct {
	auth  ssh.AuthMethod
	start func(*ssh.Session) error
}

var usual = wayIn{ssh.Password("lab123"), func(s *ssh.Session) error { return s.RequestSubsystem("netconf") }}

// A login is an SSH client with one session.
type login struct {
	client *ssh.Client
	in     io.Writer
	out    io.Reader
}

// dialIn opens a session of SSH in which nothing is asked for yet, until the end of the test.
func dialIn(t testing.TB, address string, auth ssh.AuthMethod) (*ssh.Client, *ssh.Session) {
	t.Helper()
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "lab", Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return client, session
}

// logIn logs in, until the end of the test.
func logIn(t testing.TB, address string, way wayIn) (l login) {
	t.Helper()
	client, session := dialIn(t, address, way.auth)
	l.client = client
	var err error
	if l.in, err = session.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if l.out, err = session.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := way.start(session); err != nil {
		t.Fatal(err)
	}
	return l
}

// exchange sends bytes over a session of its own and returns all that comes
// back until the device ends it.
func exchange(t *testing.T, cfg junos.Config, way wayIn, send string) string {
	t.Helper()
	_, address := serve(t, cfg)
	l := logIn(t, address, way)
	defer l.client.Close()
	if _, err := io.WriteString(l.in, send); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(l.out)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

const (
	clientHello = `<hello xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>` +
		`<capability>urn:ietf:params:netconf:base:1.1</capability></capabilities></hello>]]>]]>`
	closing = `<rpc message-id="7"><close-session/></rpc>`
)

// TestWire compares whole sessions with what Junos sends.
func TestWire(t *testing.T) {
	const banner = "<!-- No zombies were killed during the creation of this user interface -->\n<!-- user lab, class j-super-user -->\n"
	for name, test := range map[string]struct{ static, send, want string }{
		"end of message": {
			"", clientHello + closing + "]]>]]>",
			banner + "<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">…</hello>\n]]>]]>\n" +
				"<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" xmlns:junos=\"http://xml.juniper.net/junos/21.4R0/junos\" message-id=\"7\">\n" +
				"<ok/>\n</rpc-reply>\n<!-- session end at … -->\n]]>]]>\n",
		},
		"chunks": {
			"set system services netconf rfc-compliant\nset system services netconf version-1.1\n",
			clientHello + "\n#10\n" + closing[:10] + "\n#32\n" + closing[10:] + "\n##\n",
			banner + "<nc:hello xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\">…</nc:hello>\n]]>]]>\n" +
				"\n#…\n<nc:rpc-reply xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\" xmlns:junos=\"http://xml.juniper.net/junos/24.4R0/junos\" message-id=\"7\">\n" +
				"<nc:ok/>\n</nc:rpc-reply>\n<!-- session end at … -->\n\n##\n",
		},
		"not XML": {
			"", clientHello + "<rpc><unclosed></rpc>]]>]]>" + closing + "]]>]]>",
			"syntax error: XML syntax error on line 1: element &lt;unclosed&gt; closed by &lt;/rpc&gt;\n</error-message>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Static += test.static
			if strings.Contains(test.static, "version-1.1") {
				cfg.Version = "24.4R1.9" // the first that has it
			}
			reply := exchange(t, cfg, usual, test.send)
			for pattern, short := range map[string]string{
				`(?s)(hello xmlns[^>]*>).*(</(?:nc:)?hello>)`: "$1…$2",
				`session end at .* -->`:                       "session end at … -->",
				`\n#\d+\n`:                                    "\n#…\n",
			} {
				reply = regexp.MustCompile(pattern).ReplaceAllString(reply, short)
			}
			if name == "not XML" && strings.Contains(reply, test.want) {
				return
			}
			if reply != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", reply, test.want)
			}
		})
	}
}

// TestOtherWaysIn are a key, and the command in place of the subsystem.
func TestOtherWaysIn(t *testing.T) {
	signer, public := newKey(t)
	cfg := config()
	cfg.Users = []junos.User{{Name: "lab", AuthorizedKeys: []ssh.PublicKey{public}}}
	command := func(s *ssh.Session) error { return s.Start("xml-mode netconf need-trailer") }
	reply := exchange(t, cfg, wayIn{ssh.PublicKeys(signer), command}, clientHello+closing+"]]>]]>")
	if !strings.Contains(reply, "<ok/>") {
		t.Errorf("got: %s", reply)
	}

	_, address := serve(t, cfg)
	other, _ := newKey(t)
	for name, auth := range map[string]ssh.AuthMethod{"no password": ssh.Password(""), "a stranger's key": ssh.PublicKeys(other)} {
		_, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
			User: "lab", Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			t.Errorf("%s: let in", name)
		}
	}
}

func TestNoShell(t *testing.T) {
	_, address := serve(t, config())
	if _, session := dialIn(t, address, usual.auth); session.Shell() == nil {
		t.Error("a shell on the port of NETCONF")
	}
}
