package blast

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// TestEncode takes the table apart again: all prefixes, once each, in messages
// that may be so long.
func TestEncode(t *testing.T) {
	hop := netip.MustParseAddr("fe80::1")
	for _, table := range []Table{{1, 500}, {500, 500}, {2001, 500}, {1000, 1}, {5000, 5000}} {
		wire, ended := bytes.CutSuffix(table.encode(4200000000, hop), endOfRIB)
		if !ended {
			t.Fatalf("%v: no End-of-RIB", table)
		}
		seen := 0
		for len(wire) > 0 {
			size := int(binary.BigEndian.Uint16(wire[16:]))
			if size > maxSize || wire[18] != typeUpdate {
				t.Fatalf("%v: a message of %d bytes, type %d", table, size, wire[18])
			}
			body := wire[headerSize:size]
			wire = wire[size:]
			reach := body[8 : 8+binary.BigEndian.Uint16(body[6:])]
			if got, _ := netip.AddrFromSlice(reach[4:20]); body[5] != 14 || got != hop {
				t.Fatalf("%v: attribute %d, next hop %s", table, body[5], got)
			}
			for nlri := reach[21:]; len(nlri) > 0; nlri = nlri[5:] {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte(nlri[1:])), int(nlri[0]))
				if p != table.Prefix(seen) {
					t.Fatalf("%v: %s where %s is to be", table, p, table.Prefix(seen))
				}
				seen++
			}
		}
		if seen != table.Prefixes {
			t.Errorf("%v: %d prefixes", table, seen)
		}
	}
}

func TestOpenMessage(t *testing.T) {
	m := openMessage(Config{AS: 4200000000, RouterID: netip.MustParseAddr("10.0.0.1"), HoldTime: 9 * time.Second})
	if int(binary.BigEndian.Uint16(m[16:])) != len(m) || int(m[28]) != len(m)-29 {
		t.Errorf("lengths: % x", m)
	}
	if as := binary.BigEndian.Uint16(m[20:]); as != asTrans {
		t.Errorf("AS %d where %d stands for one of four octets", as, asTrans)
	}
}

func TestWithdrawals(t *testing.T) {
	for _, table := range []Table{{Prefixes: 1}, {Prefixes: 813}, {Prefixes: 814}, {Prefixes: 5000}} {
		wire := table.withdrawals()
		seen := 0
		for len(wire) > 0 {
			size := int(binary.BigEndian.Uint16(wire[16:]))
			body := wire[headerSize:size]
			wire = wire[size:]
			if size > maxSize || body[5] != 15 || int(binary.BigEndian.Uint16(body[2:])) != len(body)-4 {
				t.Fatalf("%v: a message of %d bytes, attribute %d", table, size, body[5])
			}
			for nlri := body[11:]; len(nlri) > 0; nlri = nlri[5:] {
				if p := netip.PrefixFrom(netip.AddrFrom4([4]byte(nlri[1:])), int(nlri[0])); p != table.Prefix(seen) {
					t.Fatalf("%v: %s where %s is to be", table, p, table.Prefix(seen))
				}
				seen++
			}
		}
		if seen != table.Prefixes {
			t.Errorf("%v: %d prefixes", table, seen)
		}
	}
}
