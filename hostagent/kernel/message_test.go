package kernel

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReplyCarriesTheKernelsWords(t *testing.T) {
	ack := []byte{0, 0, 0, 0}
	refusal := append([]byte{0xea, 0xff, 0xff, 0xff}, make([]byte, unix.SizeofNlMsghdr)...) // -EINVAL
	words := append(append([]byte{}, refusal...), 8, 0, unix.NLMSGERR_ATTR_MSG, 0, 'n', 'o', '!', 0)
	const capped = unix.NLM_F_CAPPED | unix.NLM_F_ACK_TLVS
	tests := []struct {
		name  string
		flags uint16
		data  []byte
		want  string
	}{
		{"acknowledgement", 0, ack, ""},
		{"end of a listing without a word", 0, nil, ""},
		{"errno", unix.NLM_F_CAPPED, refusal, "invalid argument"},
		{"errno and words", capped, words, "invalid argument: no!"},
		{"words cut off", capped, words[:len(words)-2], "invalid argument"},
		{"the request in between", unix.NLM_F_ACK_TLVS, words, "invalid argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			err := reply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.NLMSG_ERROR, Flags: test.flags}, Data: test.data})
			if err != nil {
				got = err.Error()
			}
			if got != test.want || (err != nil && !errors.Is(err, unix.EINVAL)) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestMultipathIsReadAsWritten(t *testing.T) {
	hops := []hop{{addr: netip.MustParseAddr("fe80::1"), link: 2}, {addr: netip.MustParseAddr("fe80::2"), link: 3}}
	for _, prefix := range []string{"10.0.0.0/8", "c0d1::/64"} {
		for n := 1; n <= len(hops); n++ {
			b := new(batch)
			p := netip.MustParsePrefix(prefix)
			b.newRoute(0, p)
			b.multipath(p.Addr().Is4(), hops[:n])
			b.uint32(unix.RTA_PRIORITY, Metric)
			r, err := parseRoute(message(b).Data)
			if err != nil || !slices.Equal(r.hops, hops[:n]) || r.prefix != p || r.metric != Metric || !r.ours {
				t.Errorf("%s by %v comes as %+v, %v", prefix, hops[:n], r, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	b := new(batch)
	b.newRoute(0, netip.MustParsePrefix("10.0.0.0/8"))
	b.uint32(rtaNHID, 7)
	f.Add(uint16(0), message(b).Data)
	for _, ipv4 := range []bool{true, false} {
		b = new(batch)
		b.newRoute(0, netip.MustParsePrefix("10.0.0.0/8"))
		b.multipath(ipv4, []hop{{addr: netip.MustParseAddr("fe80::1"), link: 2}, {addr: netip.MustParseAddr("fe80::2"), link: 3}})
		f.Add(uint16(0), message(b).Data)
	}
	b = new(batch)
	b.nextHop(unix.RTM_NEWNEXTHOP, 0, unix.AF_INET6, 7)
	b.addr(unix.NHA_GATEWAY, netip.MustParseAddr("fe80::1"))
	b.attr(unix.NHA_GROUP, make([]byte, 16))
	b.resilient(Resilient{Buckets: 8})
	f.Add(uint16(unix.NLM_F_ACK_TLVS|unix.NLM_F_CAPPED), message(b).Data)
	f.Fuzz(func(t *testing.T, flags uint16, data []byte) {
		_ = reply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Flags: flags}, Data: data})
		if r, err := parseRoute(data); err == nil && r.ours && data[5] != Protocol {
			t.Errorf("%s is not ours", r.prefix)
		}
		if _, o, _, err := parseObject(data); err == nil && len(o.members) > len(data)/8 {
			t.Errorf("%d members in %d bytes", len(o.members), len(data))
		}
	})
}
