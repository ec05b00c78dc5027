package bgp_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/sys/unix"

	"lastmile/hostagent/bgp"
)

// startWith is a server whose sessions have these options, and a leaf that has
// nobody on it yet.
func startWith(t *testing.T, options bgp.Options) (*speaker, port) {
	t.Helper()
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	cfg := serverConfig()
	cfg.Options = &options
	return startSpeaker(t, host, cfg), at(t, leaf)
}

func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitBlame waits until it is told why there is no session.
func (s *speaker) awaitBlame(want string) {
	s.t.Helper()
	s.await(want, s.since[leaf0], func(l line) bool {
		return l.State != nil && l.State.State != bgp.Established && strings.Contains(l.State.Reason, want)
	})
	for deadline := time.Now().Add(patience); !strings.Contains(s.stderr(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the log does not say %q", want)
		}
	}
}

// A leaf with another key is not talked to, in whichever file the mistake is.
// When both have the same, in whichever order, there is a session.
func TestPassword(t *testing.T) {
	const secret, next = "correcthorse", "batterystaple"
	file := passwordFile(t, secret+"\n")
	s, leaf := startWith(t, bgp.Options{PasswordFile: file})
	router := startLeaf(t, leaf.ns, 65001, static+"; password "+secret)
	s.add(leaf0)
	s.awaitState(leaf0, bgp.Established)
	s.awaitRoute(leaf0, "10.9.0.0/24", whatever)
	if err := router.Configure(t.Context(), "router bgp 65001", "neighbor fe80::a password "+next); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Idle)
	s.awaitBlame("is the TCP MD5 key of the peer the one in " + file + "?")
	if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	for _, l := range []string{secret, next} {
		if strings.Contains(s.stderr(), l) {
			t.Errorf("%q is in the log", l)
		}
	}
}

func TestPasswordOnOneSideOnly(t *testing.T) {
	for name, test := range map[string]struct{ ours, theirs, blame string }{
		"ours":   {"correcthorse", "", "is the TCP MD5 key of the peer the one in "},
		"theirs": {"", "; password correcthorse", "does the peer want a TCP MD5 key?"},
	} {
		t.Run(name, func(t *testing.T) {
			var options bgp.Options
			if test.ours != "" {
				options.PasswordFile = passwordFile(t, test.ours)
			}
			s, leaf := startWith(t, options)
			startLeaf(t, leaf.ns, 65001, static+test.theirs)
			s.add(leaf0)
			s.awaitBlame(test.blame)
		})
	}
}

// Without its key a session is not opened, and what comes in is not answered.
func TestPasswordCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	s, leaf := startWith(t, bgp.Options{PasswordFile: file})
	l := leaf.listen()
	s.add(leaf0)
	s.awaitBlame("reading the password: open " + file + ": no such file or directory")
	if c, err := leaf.dial("fe80::1", "fe80::a", 179); err == nil {
		c.Close()
		t.Error("a connection without a key was taken")
	}
	if err := os.WriteFile(file, make([]byte, 81), 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitBlame("reading the password: " + file + " has 81 bytes, want 1 to 80")
	l.SetDeadline(time.Unix(1, 0))
	if _, err := l.Accept(); !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the leaf's port: %v", err)
	}
}

// A key that is taken away while there is a session is none for the next one,
// whoever opens it, until it is there again.
func TestPasswordTakenAway(t *testing.T) {
	const secret = "correcthorse"
	file := passwordFile(t, secret)
	s, leaf := startWith(t, bgp.Options{PasswordFile: file})
	s.add(leaf0)
	open := func() net.Conn {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			c, err := leaf.dialWith(secret)
			if err == nil {
				if err = leaf.wire(c).establish(hello(65001, "10.255.255.1")); err == nil {
					return c
				}
				c.Close()
			}
			if time.Now().After(deadline) {
				t.Fatalf("no session with the key in the file: %v", err)
			}
		}
	}
	session := open()
	s.awaitState(leaf0, bgp.Established)
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	session.Close()
	s.awaitState(leaf0, bgp.Idle)
	for _, when := range []string{"at once", "after our next attempt"} {
		if c, err := leaf.dialWith(secret); err == nil { // the socket may take it, but nothing is said
			if err := leaf.wire(c).establish(hello(65001, "10.255.255.1")); err == nil {
				t.Errorf("there is a session without a key, %s", when)
			}
			c.Close()
		}
		s.awaitBlame("reading the password: open " + file + ": no such file or directory")
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	defer open().Close()
	s.awaitState(leaf0, bgp.Established)
}

// The key guards the port that the leaf connects to, too.
func TestPasswordOfConnectionsFromTheLeaf(t *testing.T) {
	s, leaf := startWith(t, bgp.Options{PasswordFile: passwordFile(t, "correcthorse")})
	s.add(leaf0)
	for _, wrong := range []string{"", "batterystaple"} {
		if c, err := leaf.dialWith(wrong); err == nil {
			c.Close()
			t.Errorf("a connection with the key %q was taken", wrong)
		}
	}
	c, err := leaf.dialWith("correcthorse")
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.wire(c).establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
}

// dialWith connects to the server with a TCP MD5 key, or without if it is empty.
func (p port) dialWith(key string) (c net.Conn, err error) {
	to := p.tcp("fe80::a", 179)
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(key))}
	sig.Addr.Family = unix.AF_INET6
	copy(sig.Addr.Data[6:], to.IP)
	copy(sig.Key[:], key)
	d := net.Dialer{LocalAddr: p.tcp("fe80::1", 0), Timeout: 300 * time.Millisecond,
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			if key == "" {
				return nil
			}
			if e := c.Control(func(fd uintptr) {
				err = unix.SetsockoptTCPMD5Sig(int(fd), unix.IPPROTO_TCP, unix.TCP_MD5SIG, sig)
			}); e != nil {
				return e
			}
			return err
		}}
	err = p.ns.Do(func() (err error) {
		c, err = d.Dial("tcp6", to.String())
		return err
	})
	return c, err
}

// A leaf that asks for TTL security gets it without being asked; that we ask
// for it, too, is for those that do.
func TestTTLSecurity(t *testing.T) {
	const secured = "; ttl-security hops 1"
	for name, test := range map[string]struct {
		ours   bool
		theirs string
	}{
		"both":    {true, secured},
		"theirs":  {false, secured},
		"neither": {false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, leaf := startWith(t, bgp.Options{TTLSecurity: test.ours})
			startLeaf(t, leaf.ns, 65001, static+test.theirs)
			s.add(leaf0)
			s.awaitState(leaf0, bgp.Established)
		})
	}
	t.Run("ours", func(t *testing.T) {
		s, leaf := startWith(t, bgp.Options{TTLSecurity: true})
		startLeaf(t, leaf.ns, 65001, static) // which sends with TTL 1
		s.add(leaf0)
		s.awaitBlame("does the peer send with TTL 255?")
	})
}

func TestRemoteAS(t *testing.T) {
	s, leaf := startWith(t, bgp.Options{RemoteAS: []uint32{65001, 4200000000}})
	s.add(leaf0)
	w := leaf.call()
	if err := w.send(hello(65002, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.expect(packet.BGP_MSG_OPEN); err != nil {
		t.Fatal(err)
	}
	w.expectLastWord(t, packet.BGP_ERROR_OPEN_MESSAGE_ERROR, packet.BGP_ERROR_SUB_BAD_PEER_AS)
	s.awaitReason("refused: the peer's AS 65002 is not among those allowed, [65001 4200000000]")
	if err := leaf.call().establish(hello(4200000000, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	if up := s.awaitState(leaf0, bgp.Established); up.AS != 4200000000 {
		t.Errorf("%+v", up)
	}
}

// A reset ends the session with the word for it, and begins a new one.
func TestResetPeer(t *testing.T) {
	s, _, leaf := newPort(t)
	l := leaf.listen()
	s.add(leaf0)
	w := leaf.accept(l)
	if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	s.order(request{Reset: &leaf0})
	m, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Body.(*packet.BGPNotification); n.ErrorCode != 6 || n.ErrorSubcode != 10 { // RFC 9384
		t.Errorf("notification %d/%d", n.ErrorCode, n.ErrorSubcode)
	}
	if down := s.awaitState(leaf0, bgp.Idle); down.Reason != "BFD down" {
		t.Errorf("%+v", down)
	}
	if err := leaf.accept(l).establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
}
