package rib_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/rib"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// judgeConfig is FRR as it decides like us: without a preference for the older path, and with paths of one AS compared
// together. Local preference is given by community, as our import policy does.
const judgeConfig = `bgp community-list standard high permit 1:200
bgp community-list standard low permit 1:50
bgp large-community-list standard large permit 1:2:3
route-map in permit 10
 match community high
 set local-preference 200
route-map in permit 20
 match community low
 set local-preference 50
route-map in deny 30
 match large-community large
route-map in permit 40
router bgp 64512
 bgp router-id 192.0.2.1
 bgp deterministic-med
 bgp bestpath compare-routerid
 bgp bestpath as-path multipath-relax
`

// judgeImport is the route-map.
func judgeImport() []rib.Rule {
	return []rib.Rule{
		{Communities: tags("1:200"), LocalPref: new(uint32(200))},
		{Communities: tags("1:50"), LocalPref: new(uint32(50))},
		{Communities: tags("1:2:3"), Reject: true},
		{},
	}
}

// cases are the paths of up to four leaves to a prefix each: AS path, and what follows is the origin (i, e, ?), med=N, and
// communities. An empty text is no path.
var cases = []struct {
	name  string
	paths [4]string
	frr   []int // the peers that FRR uses, where it uses others unless it always compares the MED
}{
	{name: "one path", paths: [4]string{"", "65002 9 i"}},
	{name: "equal across ASes", paths: [4]string{"65001 9 i", "65002 9 i", "65003 8 i", "65001 7 i"}},
	{name: "local preference before length", paths: [4]string{"65001 i", "65002 7 8 9 i 1:200", "65003 i"}},
	{name: "lower local preference", paths: [4]string{"65001 i 1:50", "65002 7 8 9 ? med=9", "65003 1 2 3 4 i"}},
	{name: "shorter path", paths: [4]string{"65001 7 9 i", "65002 9 i", "65003 9 i"}},
	{name: "one shortest", paths: [4]string{"65001 7 9 i", "65002 7 9 i", "65003 9 i", "65001 1 2 3 i"}},
	{name: "prepending counts", paths: [4]string{"65001 65001 65001 i", "65002 9 i"}},
	{name: "a set counts one", paths: [4]string{"65001 {7,8} i", "65002 9 i", "65003 {1,2,3,4} i", "65001 7 8 i"}},
	{name: "two sets", paths: [4]string{"65001 {7,8} {9} i", "65002 9 i"}},
	{name: "length before origin", paths: [4]string{"65001 ?", "65002 9 i"}},
	{name: "origin", paths: [4]string{"65001 ?", "65002 i", "65003 e", "65001 i"}},
	{name: "origin EGP before incomplete", paths: [4]string{"65001 ?", "65002 e"}},
	{name: "origin before MED", paths: [4]string{"65001 9 i med=100", "65001 9 e med=1"}},
	{name: "MED of the same AS", paths: [4]string{"65001 9 i med=20", "65001 9 i med=10", "65001 8 i med=10"}},
	{name: "MED of different ASes", paths: [4]string{"65001 9 i med=20", "65002 9 i med=10", "65003 9 i med=30"}},
	{name: "no MED is 0", paths: [4]string{"65001 9 i med=1", "65001 9 i"}},
	{name: "MED 0 is no MED", paths: [4]string{"65001 9 i med=0", "65001 9 i"}},
	{name: "MED of a path that is out already", paths: [4]string{"65001 9 8 i med=1", "65001 9 i med=10", "65003 9 i"}},
	{name: "lowest MED of the AS that is not the best's", paths: [4]string{"65001 9 i med=50", "65002 9 i med=20", "65002 8 i med=10"},
		// RFC 4271 section 9.1.2.2 (c) takes the second out. FRR compares the paths to use beside the best with the best alone.
		frr: []int{1, 2, 3}},
	{name: "MED of paths that begin with a set", paths: [4]string{"{65001} 9 i med=20", "{65001} 9 i med=10"}},
	{name: "communities say nothing", paths: [4]string{"65001 9 i 7:7 no-export", "65002 9 i 8:8:8", "65003 9 i 7:1 7:2"}},
	{name: "rejected by a large community", paths: [4]string{"65001 i 1:2:3", "65002 9 i", "65003 9 i 1:2:4"}},
	{name: "preferred before it is rejected", paths: [4]string{"65001 i 1:2:3 1:200", "65002 i"}},
	{name: "graceful shutdown", paths: [4]string{"65001 i graceful-shutdown", "65002 1 2 3 ? med=7", "65003 i graceful-shutdown 1:200"}},
	{name: "big ASes", paths: [4]string{"4200000001 7 i", "65002 4200000002 i", "65003 i 7:7"}},
}

func judgePrefix(i int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", i)) }

// parsePath reads a path of cases.
func parsePath(text string) *rib.Path {
	p := &rib.Path{LocalPref: 100}
	var with rib.Tags
	for _, word := range strings.Fields(text) {
		switch {
		case word == "i" || word == "e" || word == "?":
			p.Origin = uint8(strings.Index("ie?", word))
		case strings.HasPrefix(word, "med="):
			fmt.Sscanf(word, "med=%d", &p.MED)
		case strings.HasPrefix(word, "{"):
			from := len(p.ASPath)
			for _, as := range strings.Split(strings.Trim(word, "{}"), ",") {
				p.ASPath = append(p.ASPath, number(as))
			}
			p.Sets = append(p.Sets, [2]int{from, len(p.ASPath)})
			p.Length++
		case strings.ContainsAny(word, ":-"):
			more := tags(word)[0]
			with.Standard, with.Large = append(with.Standard, more.Standard...), append(with.Large, more.Large...)
		default:
			p.ASPath = append(p.ASPath, number(word))
			p.Length++
		}
	}
	p.Communities, p.LargeCommunities = with.Standard, with.Large
	return p
}

func number(text string) (n uint32) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		panic(err)
	}
	return n
}

// message is the UPDATE that says so.
func message(prefix netip.Prefix, p *rib.Path, med bool, from netip.Addr) (*packet.BGPMessage, error) {
	var segments []packet.AsPathParamInterface
	for _, s := range p.Segments() {
		kind := uint8(packet.BGP_ASPATH_ATTR_TYPE_SEQ)
		if s.Set {
			kind = packet.BGP_ASPATH_ATTR_TYPE_SET
		}
		segments = append(segments, packet.NewAs4PathParam(kind, s.ASes))
	}
	hop, err := packet.NewPathAttributeNextHop(from)
	if err != nil {
		return nil, err
	}
	nlri, err := packet.NewIPAddrPrefix(prefix)
	if err != nil {
		return nil, err
	}
	attrs := []packet.PathAttributeInterface{packet.NewPathAttributeOrigin(p.Origin), packet.NewPathAttributeAsPath(segments), hop}
	if med {
		attrs = append(attrs, packet.NewPathAttributeMultiExitDisc(p.MED))
	}
	if len(p.Communities) > 0 {
		attrs = append(attrs, packet.NewPathAttributeCommunities(p.Communities))
	}
	var large []*packet.LargeCommunity
	for _, c := range p.LargeCommunities {
		large = append(large, &packet.LargeCommunity{ASN: c[0], LocalData1: c[1], LocalData2: c[2]})
	}
	if len(large) > 0 {
		attrs = append(attrs, packet.NewPathAttributeLargeCommunities(large))
	}
	return packet.NewBGPUpdateMessage(nil, attrs, []packet.PathNLRI{{NLRI: nlri}}), nil
}

// judgePeer is one of the four, by its number.
func judgePeer(n int) (addr netip.Addr, as uint32) {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + n)}), []uint32{65001, 65002, 65003, 65001}[n]
}

// announceTo says all that a leaf says to FRR, and keeps the session until the test ends.
func announceTo(t *testing.T, ns *netns.NS, leaf int) {
	t.Helper()
	from, as := judgePeer(leaf)
	var c net.Conn
	err := ns.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: 10 * time.Second}
		c, err = d.DialContext(t.Context(), "tcp", "192.0.2.1:179")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	open, err := packet.NewBGPOpenMessage(uint16(as), 180, from, []packet.OptionParameterInterface{
		packet.NewOptionParameterCapability([]packet.ParameterCapabilityInterface{
			packet.NewCapMultiProtocol(packet.RF_IPv4_UC), packet.NewCapFourOctetASNumber(as)})})
	if err != nil {
		t.Fatal(err)
	}
	messages := []*packet.BGPMessage{open, packet.NewBGPKeepAliveMessage()}
	for i, test := range cases {
		if text := test.paths[leaf]; text != "" {
			m, err := message(judgePrefix(i), parsePath(text), strings.Contains(text, "med="), from)
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, m)
		}
	}
	go io.Copy(io.Discard, bufio.NewReader(c)) // what FRR says does not matter
	for _, m := range messages {
		b, err := m.Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// verdict is what is made of a prefix. Peers are numbered from 1.
type verdict struct {
	Best   int
	Used   []int
	Reason string         // by which the best won, in FRR's words, if it won by the same over all others: FRR names any of several
	Paths  map[int]string // as they are shown
}

// judgeFRR starts FRR with four leaves.
func judgeFRR(t *testing.T) *frr.Router {
	judge, leaves := netns.ForTest(t, "judge"), netns.ForTest(t, "leaves")
	if err := netns.Veth(judge, "eth0", leaves, "eth0"); err != nil {
		t.Fatal(err)
	}
	if err := judge.AddAddress("eth0", "192.0.2.1/24"); err != nil {
		t.Fatal(err)
	}
	config := judgeConfig
	for leaf := range 4 {
		addr, as := judgePeer(leaf)
		if err := leaves.AddAddress("eth0", addr.String()+"/24"); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf(" neighbor %s remote-as %d\n neighbor %s passive\n neighbor %s timers 60 180\n", addr, as, addr, addr)
	}
	config += " address-family ipv4 unicast\n  maximum-paths 64\n"
	for leaf := range 4 {
		addr, _ := judgePeer(leaf)
		config += fmt.Sprintf("  neighbor %s route-map in in\n", addr)
	}
	r := frr.ForTest(t, frr.Config{NS: judge, BGP: config})
	for leaf := range 4 {
		announceTo(t, leaves, leaf)
	}
	return r
}

// frrPath is a path in `show bgp ipv4 unicast PREFIX json`.
type frrPath struct {
	ASPath         struct{ String string }
	Origin         string
	MED            uint32  `json:"metric"`
	LocalPref      *uint32 `json:"locPrf"` // missing where nobody has set it
	Community      struct{ String string }
	LargeCommunity struct{ String string }
	Multipath      bool
	BestPath       struct {
		Overall         bool
		SelectionReason string
	}
	Peer struct{ PeerID netip.Addr }
}

func peerNumber(addr netip.Addr) int { return int(addr.As4()[3]) - 10 }

func frrVerdict(t *testing.T, r *frr.Router, prefix netip.Prefix) verdict {
	t.Helper()
	out, err := r.Vtysh(t.Context(), fmt.Sprintf("show bgp ipv4 unicast %s json", prefix))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Paths []frrPath }
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	v := verdict{Paths: map[int]string{}}
	for _, p := range answer.Paths {
		n := peerNumber(p.Peer.PeerID)
		if p.LocalPref == nil {
			p.LocalPref = new(uint32(100))
		}
		v.Paths[n] = fmt.Sprintf("%q %s %d %d %q %q", p.ASPath.String, p.Origin, *p.LocalPref, p.MED, p.Community.String, p.LargeCommunity.String)
		if p.BestPath.Overall {
			v.Best, v.Reason = n, p.BestPath.SelectionReason
		}
		if p.BestPath.Overall || p.Multipath {
			v.Used = append(v.Used, n)
		}
	}
	slices.Sort(v.Used)
	return v
}

func ourVerdict(table *rib.Table, prefix netip.Prefix) verdict {
	v := verdict{Paths: map[int]string{}}
	e, _ := table.Lookup(prefix)
	won := map[rib.Reason]bool{}
	for _, p := range e.Paths {
		if !p.Best {
			won[p.Reason] = true
		}
		n := peerNumber(p.Peer)
		v.Paths[n] = fmt.Sprintf("%q %s %d %d %q %q", p.Path.ASPathText(), p.Path.OriginText(), p.Path.LocalPref, p.Path.MED,
			strings.Join(p.Path.CommunityTexts(), " "), strings.Join(p.Path.LargeCommunityTexts(), " "))
		if p.Best {
			v.Best, v.Reason = n, string(e.Selection)
		}
		if p.Reason == "" {
			v.Used = append(v.Used, n)
		}
	}
	if len(won) > 1 {
		v.Reason = ""
	}
	return v
}

// TestAgreesWithFRR has FRR and us judge the same paths.
func TestAgreesWithFRR(t *testing.T) {
	r := judgeFRR(t)
	for _, always := range []bool{false, true} {
		if always {
			if err := r.Configure(t.Context(), "router bgp 64512", "bgp always-compare-med"); err != nil {
				t.Fatal(err)
			}
		}
		table := rib.New(rib.Config{AS: 64512, AlwaysCompareMED: always, Import: judgeImport()})
		for leaf := range 4 {
			addr, _ := judgePeer(leaf)
			for i, test := range cases {
				if text := test.paths[leaf]; text != "" {
					table.Update(addr, []rib.Route{{Prefix: judgePrefix(i), Path: parsePath(text)}}, nil)
				}
			}
		}
		for i, test := range cases {
			t.Run(fmt.Sprintf("always-compare-med=%v/%s", always, test.name), func(t *testing.T) {
				want := ourVerdict(table, judgePrefix(i))
				if test.frr != nil && !always {
					want.Used = test.frr
				}
				agree(t, r, judgePrefix(i), want)
			})
		}
	}
}

// agree waits until FRR says what is wanted.
func agree(t *testing.T, r *frr.Router, prefix netip.Prefix, want verdict) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		theirs := frrVerdict(t, r, prefix)
		if theirs.Reason == "Router ID" { // ours have the same order by address and by router ID
			theirs.Reason = string(rib.NeighborIP)
		}
		if want.Reason == "" {
			theirs.Reason = ""
		}
		diff := cmp.Diff(want, theirs)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s (-want +FRR):\n%s", prefix, diff)
		}
	}
}
