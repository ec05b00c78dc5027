package kernel

import (
	"maps"
	"net/netip"
	"testing"
)

func TestPrefixMap(t *testing.T) {
	texts := []string{
		"0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.0/9", "255.255.255.255/32", "::ffff:10.0.0.0/104", "c0d1::/16", "c0d1::1/128",
		"::a00:0/104", // with the bytes of 10.0.0.0/8
	}
	m, want := newPrefixMap[int](), make(map[netip.Prefix]int)
	for i, text := range texts {
		p := netip.MustParsePrefix(text)
		m.set(p, i+1)
		want[p] = i + 1
	}
	if got := maps.Collect(m.all()); !maps.Equal(got, want) || m.len() != len(want) {
		t.Errorf("%d: %v, want %v", m.len(), got, want)
	}
	for p, v := range want {
		if got, ok := m.get(p); got != v || !ok || m.at(p) != v {
			t.Errorf("%s: %d (%v), want %d", p, got, ok, v)
		}
		m.delete(p)
		if _, ok := m.get(p); ok {
			t.Errorf("%s is there after it was deleted", p)
		}
	}
	if _, ok := m.get(netip.Prefix{}); ok || m.len() != 0 {
		t.Errorf("%d left", m.len())
	}
	m.set(netip.MustParsePrefix("10.0.0.0/8"), 1)
	m.clear()
	if m.len() != 0 {
		t.Errorf("%d left", m.len())
	}
}
