package hostagent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// bfdLeaf speaks BFD too. On a busy machine bfdd misses turns, so that it takes
// ten of them.
const bfdLeaf = ` bgp log-neighbor-changes
 neighbor swp1 bfd 10 50 50
`

const bfdConfig = `bfd: [{transmit_interval: 50ms, receive_interval: 50ms, detect_multiplier: 10}]`

// switched is a server whose links to its two leaves, which speak BFD, go through
// a bridge each: what the bridge drops takes no carrier.
type switched struct {
	*server
	middle *netns.NS
	dirs   []string // of the leaves' routers
}

func newSwitched(t *testing.T) *switched {
	s := &switched{server: newHost(t), middle: netns.ForTest(t, "switch")}
	for i := range 2 {
		leaf := newLeafNS(t, i)
		bridge, down, up := fmt.Sprint("br", i), fmt.Sprint("down", i), fmt.Sprint("up", i)
		s.do(t, "ip", "link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
		for port, end := range map[string]func() error{
			down: func() error { return netns.Veth(s.ns, fmt.Sprint("eth", i), s.middle, down) },
			up:   func() error { return netns.Veth(leaf, "swp1", s.middle, up) },
		} {
			if err := end(); err != nil {
				t.Fatal(err)
			}
			s.do(t, "ip", "link", "set", port, "master", bridge)
		}
		s.do(t, "ip", "link", "set", bridge, "up")
		s.leaves = append(s.leaves, leaf)
		dir := netns.DirForTest(t, "frr")
		s.dirs = append(s.dirs, dir)
		s.frr = append(s.frr, frr.ForTest(t, frr.Config{
			NS: leaf, Dir: dir, Zebra: leafZebra, BFD: true,
			BGP: strings.Replace(fmt.Sprintf(leafConfig, 65001+i, i+1), " address-family ipv4", bfdLeaf+" address-family ipv4", 1),
		}))
	}
	return s
}

func (s *switched) do(t *testing.T, args ...string) {
	t.Helper()
	if _, err := s.middle.Run(t.Context(), args[0], args[1:]...); err != nil {
		t.Fatal(err)
	}
}

// silence has the bridge before a leaf drop everything, or forward again.
func (s *switched) silence(t *testing.T, leaf int, on bool) {
	t.Helper()
	s.do(t, "bridge", "link", "set", "dev", fmt.Sprint("up", leaf), "state", map[bool]string{true: "0", false: "3"}[on])
}

// bfd returns the session on an uplink, as `hostagent show bfd` has it.
func (s *server) bfd(t *testing.T, uplink string) (hostagent.BFDPeer, error) {
	t.Helper()
	var answer hostagent.BFD
	if err := hostagent.Ask(t.Context(), s.socket, "bfd", &answer); err != nil {
		return hostagent.BFDPeer{}, err
	}
	for _, p := range answer.Peers {
		if p.Interface == uplink {
			return p, nil
		}
	}
	return hostagent.BFDPeer{}, fmt.Errorf("%s has no BFD session: %+v", uplink, answer)
}

func (s *server) awaitBFD(t *testing.T, uplink, want string) {
	t.Helper()
	await(t, func() error {
		p, err := s.bfd(t, uplink)
		if err == nil && p.Status != want {
			err = fmt.Errorf("BFD on %s is %s (%s), want %s", uplink, p.Status, p.Diagnostic, want)
		}
		return err
	})
}

// awaitBoth waits until both leaves are in use and speak BFD.
func (s *switched) awaitBoth(t *testing.T) {
	t.Helper()
	s.awaitPaths(t, "10.9.9.9/32", 2)
	s.awaitBFD(t, "eth0", "up")
	s.awaitBFD(t, "eth1", "up")
}

// awaitFault waits until the log names the detector of a fault on eth0.
func (s *server) awaitFault(t *testing.T, detector string) {
	t.Helper()
	await(t, func() error {
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, "leaf is dead") && strings.Contains(line, "link=eth0") && strings.Contains(line, "detector="+detector) {
				return nil
			}
		}
		return fmt.Errorf("no fault on eth0 that %s has noticed", detector)
	})
}

// before says whether one text stands before another one in the log.
func (s *server) before(t *testing.T, first, then string) {
	t.Helper()
	text := s.log.String()
	i, j := strings.Index(text, first), strings.Index(text, then)
	if i < 0 || j < 0 || i > j {
		t.Errorf("in the log %q is at %d, %q at %d", first, i, then, j)
	}
}

func TestSilentLossAndReturn(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	s.silence(t, 0, true)
	s.awaitFault(t, "bfd")
	s.awaitPaths(t, "10.9.9.9/32", 1)
	await(t, func() error {
		if !strings.Contains(s.log.String(), "bgp session ended") {
			return fmt.Errorf("the session is still there")
		}
		return nil
	})
	s.before(t, "leaf is dead", "bgp session ended")
	p := s.probe(t)
	p.awaitMore(200)
	s.silence(t, 0, false)
	s.awaitBoth(t)
	p.awaitMore(1000)
	if sent, lost := p.lost(); lost > 0 {
		t.Errorf("the return has lost %d of %d packets", lost, sent)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// Routes that name their next hops themselves are rewritten before BGP is told.
func TestSilentLossWithoutNextHopObjects(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig, `next_hop_objects: "off"`)
	s.awaitLegs(t, "10.9.9.9", 2)
	s.awaitLegs(t, "c0d1::9", 2)
	s.awaitBFD(t, "eth0", "up")
	s.awaitBFD(t, "eth1", "up")
	s.silence(t, 0, true)
	s.awaitFault(t, "bfd")
	s.awaitLegs(t, "10.9.9.9", 1)
	s.awaitLegs(t, "c0d1::9", 1)
	if _, err := s.ns.Run(t.Context(), "ping", "-c1", "-W2", "10.9.9.9"); err != nil {
		t.Error(err)
	}
	s.awaitLogged(t, "bgp session ended")
	s.before(t, "leaf is dead", "bgp session ended")
	s.silence(t, 0, false)
	s.awaitLegs(t, "10.9.9.9", 2)
	s.awaitLegs(t, "c0d1::9", 2)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// signal sends a signal to a daemon of a leaf.
func (s *switched) signal(t *testing.T, leaf int, daemon string, sig syscall.Signal) {
	t.Helper()
	pids, err := s.leaves[leaf].Pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if name, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "comm")); err == nil && strings.TrimSpace(string(name)) == daemon {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %s on leaf %d", daemon, leaf)
}

// A leaf whose BFD alone is dead is told why BGP ends.
func TestBFDDownIsToldToTheLeaf(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	s.signal(t, 0, "bfdd", syscall.SIGSTOP)
	t.Cleanup(func() { s.signal(t, 0, "bfdd", syscall.SIGCONT) })
	s.awaitFault(t, "bfd")
	await(t, func() error {
		log, err := os.ReadFile(filepath.Join(s.dirs[0], "bgpd.log"))
		if err == nil && !strings.Contains(string(log), "received from neighbor swp1 6/10") {
			err = fmt.Errorf("the leaf has not been told Cease, BFD Down: %s", log)
		}
		return err
	})
	await(t, func() error {
		var answer hostagent.Neighbors
		err := hostagent.Ask(t.Context(), s.socket, "neighbors", &answer)
		if held := answer.Peers["eth0"].Held; err == nil && !strings.Contains(held, "BFD") {
			err = fmt.Errorf("eth0 is %+v, want it held", answer.Peers["eth0"])
		}
		return err
	})
	if n := s.paths(t, "10.9.9.9/32"); n != 1 {
		t.Errorf("a leaf without the BFD that it had is used: %d next hops", n)
	}
	s.signal(t, 0, "bfdd", syscall.SIGCONT)
	s.awaitBoth(t)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// RFC 5882 section 3.2: an administrator's word is no fault.
func TestAdminDownKeepsBGP(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	session, err := s.bfd(t, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.log.String())
	peer := fmt.Sprintf(" peer %s interface swp1", session.Local)
	if err := s.frr[0].Configure(t.Context(), "bfd", peer, "  shutdown"); err != nil {
		t.Fatal(err)
	}
	s.awaitBFD(t, "eth0", "down")
	time.Sleep(time.Second) // for what must not come
	if n := s.paths(t, "10.9.9.9/32"); n != 2 {
		t.Errorf("an administrator's word took the leaf out: %d next hops", n)
	}
	for _, words := range []string{"leaf is dead", "bgp session ended"} {
		if log := s.log.String()[before:]; strings.Contains(log, words) {
			t.Errorf("%q after an administrator's word:\n%s", words, log)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// downs returns how often FRR's sessions have gone down.
func (s *switched) downs(t *testing.T) (downs int) {
	t.Helper()
	for _, r := range s.frr {
		out, err := r.Vtysh(t.Context(), "show bfd peers counters json")
		if err != nil {
			t.Fatal(err)
		}
		var peers []struct {
			Downs int `json:"session-down"`
		}
		if err := json.Unmarshal(out, &peers); err != nil || len(peers) != 1 {
			t.Fatalf("%s (%v)", out, err)
		}
		downs += peers[0].Downs
	}
	return downs
}

func TestBFDOutlivesHostagent(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	before := s.downs(t)
	p := s.probe(t)
	p.awaitMore(200)
	s.cmd.Process.Kill()
	if s.cmd.Wait() == nil {
		t.Error("a killed process has no error")
	}
	p.awaitMore(2000)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitLogged(t, "restart is over")
	s.awaitBoth(t)
	p.awaitMore(500)
	if sent, lost := p.lost(); lost > 0 {
		t.Errorf("%d of %d packets lost", lost, sent)
	}
	if n := s.downs(t) - before; n > 0 {
		t.Errorf("BFD went down %d times", n)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestShowBFDUsesFRRsKeys compares what `hostagent show bfd` prints with what
// FRR prints of the other end.
func TestShowBFDUsesFRRsKeys(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	notMeasured := []string{".downtime", ".rtt-min", ".rtt-avg", ".rtt-max"} // by echo packets, which we do not send; or not up
	known := map[string]bool{".downtime": true}
	for _, what := range []string{"show bfd peers json", "show bfd peers counters json"} {
		theirs, err := s.frr[0].Vtysh(t.Context(), what)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(known, keysOf(t, theirs))
	}
	out, err := s.ns.Run(t.Context(), s.bin, "show", "bfd", "-o", "json", "--socket", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Peers json.RawMessage }
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours := strings.Fields(".profile .strict .detectTime .remoteDetectTime .polling .drops .expired .lateTimers .lateMax .problem .watchdog .watchdogFirst .watchdogSecond .watchdogFalse")
	for key := range keysOf(t, answer.Peers) {
		if !strings.HasPrefix(key, ".drops.") && !known[key] && !slices.Contains(ours, key) {
			t.Errorf("FRR has no %s", key)
		}
		delete(known, key)
	}
	for missing := range known {
		if !slices.Contains(notMeasured, missing) {
			t.Errorf("ours has no %s", missing)
		}
	}
	text, err := s.ns.Run(t.Context(), s.bin, "show", "bfd", "--socket", s.socket)
	if err != nil || strings.Count(string(text), " up ") != 2 || !strings.Contains(string(text), "scheduling") {
		t.Errorf("show bfd: %s (%v)", text, err)
	}
	t.Logf("%s", text)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
