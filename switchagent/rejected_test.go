package switchagent

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

func testClaims(t testing.TB, rows string) *claims {
	t.Helper()
	inv, err := inventory.Parse("f", []byte("port,server,as,prefixes,shared\n"+rows), junos.CheckPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return newClaims(inv, map[netip.Addr]bool{netip.MustParseAddr("10.255.255.1"): true, netip.MustParseAddr("2001:db8:ffff::1"): true})
}

const rackRows = `ge-0/0/1.0,bms1,64512,10.0.1.1/32 10.8.0.0/24 2001:db8::101/128 2001:db8:8::/64,10.9.9.9/32
ge-0/0/2.0,bms2,64513 65001,10.0.2.1/32 2001:db8::102/128 10.8.2.0/24,10.9.9.9/32
ge-0/0/3.0,bms3,64514,10.0.3.1/32,10.9.9.9/32 10.7.7.7/32
`

func TestKindsOfRejectedPrefixes(t *testing.T) {
	c := testClaims(t, rackRows)
	for _, tt := range []struct {
		prefix, path string
		want         kind
		whose        string
	}{
		{"0.0.0.0/0", "64513", kindDefault, ""},
		{"::/0", "", kindDefault, ""},
		{"10.0.1.1/32", "64513", kindOther, "bms1"},
		{"10.8.0.0/24", "64513", kindOther, "bms1"},
		{"2001:db8::101/128", "64513", kindOther, "bms1"},
		{"10.7.7.7/32", "64513", kindOther, "bms3"}, // shared, and not by it
		{"10.255.255.1/32", "64513", kindLoopback, ""},
		{"2001:db8:ffff::1/128", "64513", kindLoopback, ""},
		{"10.255.255.0/24", "64513", kindUnlisted, ""},
		{"10.8.0.128/25", "64513", kindLonger, "bms1"},
		{"10.8.0.1/32", "64513", kindLonger, "bms1"},
		{"10.8.2.1/32", "64513", kindLonger, "bms2"}, // its own
		{"2001:db8:8::1/128", "64513", kindLonger, "bms1"},
		{"10.0.1.0/30", "64513", kindShorter, "bms1"},
		{"10.0.2.0/24", "64513", kindShorter, "bms2"},
		{"10.0.0.0/8", "64513", kindShorter, "bms1"},
		{"0.0.0.0/1", "64513", kindShorter, "bms1"},
		{"8.0.0.0/7", "64513", kindUnlisted, ""},
		{"128.0.0.0/1", "64513", kindUnlisted, ""},
		{"2001:db8::/64", "64513", kindShorter, "bms1"},
		{"::/1", "64513", kindShorter, "bms1"},
		{"8000::/1", "64513", kindUnlisted, ""},
		{"10.0.2.1/32", "64512", kindPath, "bms2"},
		{"10.0.2.1/32", "65001 64513", kindPath, "bms2"},
		{"10.0.2.1/32", "64513 64512", kindPath, "bms2"},
		{"10.0.2.1/32", "64513 {65001}", kindPath, "bms2"},
		{"10.0.2.1/32", "64513 65001 64513", kindPath, "bms2"},
		{"10.9.9.9/32", "64512", kindPath, "bms2"},
		{"10.0.2.1/32", "64513", kindOwn, "bms2"},
		{"10.0.2.1/32", "64513 64513 65001 65001", kindOwn, "bms2"},
		{"10.9.9.9/32", "64513", kindOwn, "bms2"},
		{"10.0.2.1/32", "", kindOwn, "bms2"}, // the leaf does not tell the path
	} {
		is, whose := c.judge("ge-0/0/2.0", junos.Hidden{Prefix: netip.MustParsePrefix(tt.prefix), Path: tt.path})
		if is != tt.want || whose != tt.whose {
			t.Errorf("%s with path %q is %s of %q, want %s of %q", tt.prefix, tt.path, is, whose, tt.want, tt.whose)
		}
	}
}

// TestKindsOfAPortThatIsNotListed: nothing is its own there, and without an inventory nothing is anybody's.
func TestKindsOfAPortThatIsNotListed(t *testing.T) {
	none := newClaims(nil, nil)
	listed := testClaims(t, rackRows)
	for prefix, want := range map[string][2]kind{
		"10.0.2.1/32": {kindOther, kindUnlisted}, "10.9.9.9/32": {kindOther, kindUnlisted}, "0.0.0.0/0": {kindDefault, kindDefault},
		"10.8.0.1/32": {kindLonger, kindUnlisted}, "10.0.0.0/8": {kindShorter, kindUnlisted}, "10.255.255.1/32": {kindLoopback, kindUnlisted},
		"10.6.6.6/32": {kindUnlisted, kindUnlisted},
	} {
		h := junos.Hidden{Prefix: netip.MustParsePrefix(prefix), Path: "64513"}
		for i, c := range []*claims{listed, none} {
			if is, _ := c.judge("ge-0/0/9.0", h); is != want[i] {
				t.Errorf("%s is %s, want %s", prefix, is, want[i])
			}
		}
	}
}

// TestKindsAgreeWithASlowLook: what is inside and around is found as by looking at each listed prefix.
func TestKindsAgreeWithASlowLook(t *testing.T) {
	c := testClaims(t, rackRows)
	for bits := 1; bits <= 32; bits++ {
		for _, text := range []string{"10.0.1.1", "10.0.2.200", "10.8.0.77", "10.9.9.9", "10.255.255.1", "11.0.0.0", "9.255.255.255"} {
			p := netip.PrefixFrom(netip.MustParseAddr(text), bits).Masked()
			want := kindUnlisted
			for _, listed := range c.sorted {
				switch {
				case listed == p:
					want = kindOther
				case want == kindOther, !listed.Overlaps(p):
				case listed.Bits() < p.Bits():
					want = kindLonger
				case want != kindLonger:
					want = kindShorter
				}
			}
			if p.IsSingleIP() && c.loopbacks[p.Addr()] {
				want = kindLoopback
			}
			if is, _ := c.judge("ge-0/0/9.0", junos.Hidden{Prefix: p}); is != want {
				t.Errorf("%s is %s, want %s", p, is, want)
			}
		}
	}
}

func TestTally(t *testing.T) {
	c := testClaims(t, rackRows)
	var hidden []junos.Hidden
	for i := range 5 {
		hidden = append(hidden, junos.Hidden{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.8.0.%d/32", i)), Path: "64513"})
	}
	hidden = append(hidden, junos.Hidden{Prefix: netip.MustParsePrefix("10.0.2.1/32"), Path: "64513 7"})
	got := map[kind]sample{}
	c.tally("ge-0/0/2.0", hidden, 9, got)
	c.tally("ge-0/0/2.0", nil, 1, got)        // another peer of the port that was not asked for yet
	c.tally("ge-0/0/2.0", hidden[:1], 0, got) // or whose count is older than the answer
	want := map[kind]sample{
		kindLonger: {6, []netip.Prefix{hidden[0].Prefix, hidden[1].Prefix, hidden[2].Prefix}, "bms1", "64513"},
		kindPath:   {1, []netip.Prefix{hidden[5].Prefix}, "bms2", "64513 7"},
		kindUnread: {n: 4},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzKinds: no prefix makes a search run wild, and each has one of the kinds.
func FuzzKinds(f *testing.F) {
	c := testClaims(f, rackRows)
	f.Add([]byte{10, 0, 1, 1}, 32, "64513")
	f.Add(make([]byte, 16), 0, "")
	f.Fuzz(func(t *testing.T, addr []byte, bits int, path string) {
		a, ok := netip.AddrFromSlice(addr)
		p, err := a.Prefix(bits)
		if !ok || err != nil || a.Is4In6() {
			return
		}
		is, whose := c.judge("ge-0/0/2.0", junos.Hidden{Prefix: p, Path: path})
		nobodys := is == kindDefault || is == kindLoopback || is == kindUnlisted
		if (whose == "") != nobodys || is == kindUnread {
			t.Errorf("%s with path %q is %s of %q", p, path, is, whose)
		}
	})
}

// TestKindsAreDocumented: the table of metrics explains each kind, and the alerts name kinds that there are.
func TestKindsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile("../docs/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, is := range allKinds {
		if !strings.Contains(string(text), "`"+string(is)+"` (") {
			t.Errorf("%s is not explained", is)
		}
	}
	found := 0
	for _, names := range regexp.MustCompile(`rejected_prefixes\{kind=~?"([^"]+)"`).FindAllStringSubmatch(string(alerts), -1) {
		for name := range strings.SplitSeq(names[1], "|") {
			if found++; !slices.Contains(allKinds, kind(name)) {
				t.Errorf("there is no kind %s", name)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d kinds are found in alerts", found)
	}
}
