package bgp_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/bgp"
)

// Attributes of an UPDATE, and a prefix, as they stand on the wire.
const (
	origin   = "\x40\x01\x01\x00"
	as65001  = "\x40\x02\x06\x02\x01\x00\x00\xfd\xe9"
	nextHop  = "\x40\x03\x04\x0a\x00\x00\x01"
	reach    = "\x80\x0e\x1a\x00\x02\x01\x10\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x20\x20\x01\x0d\xb8"
	victim   = "\x18\x0a\x01\x00" // 10.1.0.0/24
	survivor = "\x18\x0a\x02\x00" // 10.2.0.0/24
)

// rawUpdate is an UPDATE message that announces.
func rawUpdate(attributes, announced string) []byte {
	return rawMessage("\x00\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(len(attributes)))) + attributes + announced)
}

// rawMessage is an UPDATE message.
func rawMessage(body string) []byte {
	return []byte(strings.Repeat("\xff", 16) + string(binary.BigEndian.AppendUint16(nil, uint16(19+len(body)))) + "\x02" + body)
}

// say writes raw messages.
func say(t *testing.T, w *wire, messages ...[]byte) {
	t.Helper()
	if _, err := w.Write(slices.Concat(messages...)); err != nil {
		t.Fatal(err)
	}
}

// session takes a connection of the leaf's to Established.
func (p port) session(s *speaker, open *packet.BGPMessage) *wire {
	p.t.Helper()
	w := p.call()
	if err := w.establish(open); err != nil {
		p.t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	return w
}

// openWith is a leaf's OPEN with the 4-octet AS capability, or without.
func openWith(holdTime uint16, fourOctets bool) *packet.BGPMessage {
	capabilities := []packet.ParameterCapabilityInterface{
		packet.NewCapMultiProtocol(packet.RF_IPv4_UC), packet.NewCapMultiProtocol(packet.RF_IPv6_UC),
	}
	if fourOctets {
		capabilities = append(capabilities, packet.NewCapFourOctetASNumber(65001))
	}
	m, err := packet.NewBGPOpenMessage(65001, holdTime, netip.MustParseAddr("10.0.0.9"),
		[]packet.OptionParameterInterface{packet.NewOptionParameterCapability(capabilities)})
	if err != nil {
		panic(err)
	}
	return m
}

// A malformed UPDATE takes back the routes that it announces, and no others.
func TestMalformedUpdatesTheSessionSurvives(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	w := leaf.session(s, hello(65001, "10.0.0.9"))
	say(t, w, rawUpdate(origin+as65001+nextHop, survivor))
	s.awaitRoute(leaf0, "10.2.0.0/24", whatever)
	from := len(s.log)
	tests := map[string]string{
		"ORIGIN 3":            "\x40\x01\x01\x03" + as65001 + nextHop,
		"no AS_PATH":          origin + nextHop,
		"AS_PATH overrun":     origin + "\x40\x02\x06\x02\x02\x00\x00\xfd\xe9" + nextHop,
		"NEXT_HOP of 3 bytes": origin + as65001 + "\x40\x03\x03\x0a\x00\x00",
		"wrong flags":         origin + as65001 + nextHop + "\xc0\x04\x04\x00\x00\x00\x01",
		"an overrun":          origin + as65001 + nextHop + "\x80\x04\x09\x00",
		"COMMUNITIES":         origin + as65001 + nextHop + "\xc0\x08\x03\x01\x02\x03",
	}
	for name, attributes := range tests {
		say(t, w, rawUpdate(origin+as65001+nextHop, victim))
		s.awaitRoute(leaf0, "10.1.0.0/24", whatever)
		s.since[leaf0] = len(s.log)
		say(t, w, rawUpdate(attributes, victim))
		s.awaitWithdrawn(leaf0, "10.1.0.0/24")
		s.since[leaf0] = len(s.log)
		t.Log(name)
	}
	for _, l := range s.log[from:] {
		if l.State != nil || l.Update != nil && slices.Contains(l.Update.Withdrawn, netip.MustParsePrefix("10.2.0.0/24")) {
			t.Errorf("beside the malformed updates: %+v", l)
		}
	}
	peers := s.order(request{Peers: true}).Peers
	if len(peers) != 1 || peers[0].State != bgp.Established || peers[0].PrefixesReceived != 1 || peers[0].UpdatesMalformed != uint64(len(tests)) {
		t.Errorf("peers: %+v", peers)
	}
}

func TestMalformedUpdatesTheSessionDoesNotSurvive(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	for name, test := range map[string]struct {
		message []byte
		subcode uint8
		reason  string
	}{
		"33 bits": {rawUpdate(origin+as65001+nextHop, "\x21\x0a\x01\x00\x00\x80"), 10,
			"malformed update: a prefix is longer than 32 bits or than its field"},
		"MP_REACH_NLRI twice": {rawUpdate(origin+as65001+reach+reach, ""), 1, "malformed update: MP_REACH_NLRI is there twice"},
		"an unknown well-known one": {rawUpdate(origin+as65001+nextHop+"\x40\x63\x00", victim), 2,
			"malformed update: attribute 99 is well-known, but not to us"},
		"attributes too long": {rawMessage("\x00\x00\x00\x09" + origin), 1, "malformed update: the fields of an UPDATE are longer than it"},
	} {
		w := leaf.session(s, hello(65001, "10.0.0.9"))
		say(t, w, rawUpdate(origin+as65001+nextHop, survivor))
		s.awaitRoute(leaf0, "10.2.0.0/24", whatever)
		say(t, w, test.message)
		m, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := m.Body.(*packet.BGPNotification); n.ErrorCode != 3 || n.ErrorSubcode != test.subcode {
			t.Errorf("%s: notification %d/%d, want 3/%d", name, n.ErrorCode, n.ErrorSubcode, test.subcode)
		}
		if down := s.awaitState(leaf0, bgp.Idle); down.Reason != test.reason {
			t.Errorf("%s: ended because: %s", name, down.Reason)
		}
	}
}

// Wherever an UPDATE breaks off, what comes after it is heard, in the same
// session or in the next.
func TestUpdatesCutOffAtEveryByte(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	attributes := origin + as65001 + nextHop + reach + "\xc0\x08\x04\xff\xff\x00\x00"
	whole := rawUpdate(attributes, survivor)[19:]
	var updates [][]byte
	for end := 4; end <= len(whole); end++ { // 4 bytes make the shortest UPDATE
		updates = append(updates, rawMessage(string(whole[:end])))
	}
	for end := range len(attributes) {
		updates = append(updates, rawUpdate(attributes[:end], survivor))
	}
	var w *wire
	sessions := 0
	for i, update := range updates {
		if w == nil {
			w = leaf.session(s, hello(65001, "10.0.0.9"))
			sessions++
		}
		marker := fmt.Sprintf("10.3.%d.0/24", i)
		say(t, w, update)
		// An error means that the session has ended, which is told anyway.
		_, _ = w.Write(rawUpdate(origin+as65001+nextHop, "\x18\x0a\x03"+string([]byte{byte(i)})))
		l, _ := s.await("the marker or the end of the session", s.since[leaf0], func(l line) bool {
			return l.State != nil && l.State.State == bgp.Idle || l.Update != nil &&
				slices.ContainsFunc(l.Update.Announced, func(r bgp.Route) bool { return r.Prefix.String() == marker })
		})
		if l.State != nil {
			s.awaitState(leaf0, bgp.Idle)
			w.Close()
			w = nil
		}
	}
	// The first lot ends the session but for the prefix at the end, the second
	// only within MP_REACH_NLRI.
	t.Logf("%d UPDATEs took %d sessions", len(updates), sessions)
	if sessions < len(attributes) || sessions > len(attributes)+len(reach)+len(survivor)+4 {
		t.Errorf("%d UPDATEs took %d sessions", len(updates), sessions)
	}
}

// This order ended processes of GoBGP v3.37 (CVE-2026-41643).
func TestAS4PathBeforeASPath(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	w := leaf.session(s, openWith(9, false))
	say(t, w, rawUpdate("\xc0\x11\x06\x02\x01\x00\x01\x00\x00"+origin+"\x40\x02\x06\x02\x02\xfd\xe9\x5b\xa0"+nextHop, victim))
	s.awaitRoute(leaf0, "10.1.0.0/24", func(r bgp.Route) bool { return slices.Equal(r.ASPath, []uint32{65001, 65536}) })
}

// GoBGP sees no UPDATE, and yet its hold timer runs for the session.
func TestUpdatesKeepTheSessionAlive(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	w := leaf.session(s, openWith(3, true))
	for until := time.After(4 * time.Second); ; {
		say(t, w, rawUpdate(origin+as65001+nextHop, victim))
		select {
		case <-until:
		case <-time.After(200 * time.Millisecond):
			continue
		}
		break
	}
	if got := s.order(request{Peers: true}).Peers; len(got) != 1 || got[0].State != bgp.Established {
		t.Errorf("peers: %+v", got)
	}
	if down := s.awaitState(leaf0, bgp.Idle); !strings.Contains(down.Reason, "hold timer expired") {
		t.Errorf("without anything to hear, the session ended because: %s", down.Reason)
	}
}

func TestPrefixLimit(t *testing.T) {
	host, leafNS := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leafNS, "swp1"})
	leaf := at(t, leafNS)
	cfg := serverConfig()
	cfg.Options = &bgp.Options{MaxPrefixes: 3}
	s := startSpeaker(t, host, cfg)
	s.add(leaf0)
	w := leaf.session(s, hello(65001, "10.0.0.9"))
	within := rawUpdate(origin+as65001+nextHop+reach, victim+survivor)
	say(t, w, within, within)                                                                   // the same again
	say(t, w, rawUpdate(origin+nextHop, victim), rawUpdate(origin+as65001+nextHop, "\x08\x0a")) // one goes, one comes
	s.awaitRoute(leaf0, "10.0.0.0/8", whatever)
	if got := s.order(request{Peers: true}).Peers; len(got) != 1 || got[0].PrefixesReceived != 3 {
		t.Errorf("peers: %+v", got)
	}
	say(t, w, rawUpdate(origin+as65001+nextHop, "\x09\x0a\x80"))
	m, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Body.(*packet.BGPNotification); n.ErrorCode != packet.BGP_ERROR_CEASE || n.ErrorSubcode != packet.BGP_ERROR_SUB_MAXIMUM_NUMBER_OF_PREFIXES_REACHED {
		t.Errorf("notification %d/%d", n.ErrorCode, n.ErrorSubcode)
	}
	if down := s.awaitState(leaf0, bgp.Idle); down.Reason != "more than 3 prefixes received" {
		t.Errorf("ended because: %s", down.Reason)
	}
	leaf.call().expectLastWord(t, packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_CONNECTION_REJECTED)
}

// Attributes come in every order, over the wire.
func TestAttributesInEveryOrder(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	w := leaf.session(s, hello(65001, "10.0.0.9"))
	attributes := []string{origin, as65001, nextHop, reach, "\xc0\x08\x04\xff\xff\x00\x00", "\x80\x04\x04\x00\x00\x00\x07"}
	orders := 0
	var permute func(n int)
	permute = func(n int) {
		if n == len(attributes) {
			say(t, w, rawUpdate(strings.Join(attributes, ""), "\x20\x0a\x04"+string([]byte{byte(orders >> 8), byte(orders)})))
			orders++
			return
		}
		for i := n; i < len(attributes); i++ {
			attributes[n], attributes[i] = attributes[i], attributes[n]
			permute(n + 1)
			attributes[n], attributes[i] = attributes[i], attributes[n]
		}
	}
	permute(0)
	for i := range orders {
		s.awaitRoute(leaf0, fmt.Sprintf("10.4.%d.%d/32", i>>8, i&0xff), func(r bgp.Route) bool {
			return r.MED == 7 && slices.Equal(r.ASPath, []uint32{65001}) && slices.Equal(r.Communities, []uint32{0xffff0000})
		})
	}
	if p := s.order(request{Peers: true}).Peers[0]; orders != 720 || p.State != bgp.Established || p.UpdatesMalformed != 0 {
		t.Errorf("after %d orders: %+v", orders, p)
	}
}

// A leaf may ask for our routes again; what else it may put into the message is
// passed over, unless it is of the wrong length.
func TestRouteRefreshFromTheLeaf(t *testing.T) {
	s, _, leaf := newPort(t)
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	open := hello(65001, "10.0.0.9")
	capabilities := open.Body.(*packet.BGPOpen).OptParams[0].(*packet.OptionParameterCapability)
	capabilities.Capability = append(capabilities.Capability, packet.NewCapRouteRefresh())
	w := leaf.session(s, open)
	if _, err := w.expectEventually(packet.BGP_MSG_UPDATE); err != nil {
		t.Fatal(err)
	}
	refresh := func(body string) []byte {
		m := rawMessage(body)
		m[18] = packet.BGP_MSG_ROUTE_REFRESH
		return m
	}
	for _, body := range []string{"\x00\x19\x00\x46", "\xff\xff\xff\xff", "\x00\x01\x01\x01", "\x00\x01\x02\x01", "\x00\x01\x00\x80"} {
		say(t, w, refresh(body))
	}
	say(t, w, refresh("\x00\x01\x00\x01"))
	if _, err := w.expectEventually(packet.BGP_MSG_UPDATE); err != nil {
		t.Fatal(err)
	}
	say(t, w, refresh("\x00\x01\x00\x01\x00"))
	m, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Body.(*packet.BGPNotification); n.ErrorCode != 1 || n.ErrorSubcode != 2 {
		t.Errorf("notification %d/%d", n.ErrorCode, n.ErrorSubcode)
	}
}
