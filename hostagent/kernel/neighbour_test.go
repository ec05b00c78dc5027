package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// neighbourNews is what the kernel says of an address on the link 2.
func neighbourNews(kind, state uint16, addr string) syscall.NetlinkMessage {
	data := make([]byte, unix.SizeofNdMsg)
	data[0] = unix.AF_INET6
	binary.NativeEndian.PutUint32(data[4:], 2)
	binary.NativeEndian.PutUint16(data[8:], state)
	data = binary.NativeEndian.AppendUint16(data, 20)
	data = binary.NativeEndian.AppendUint16(data, unix.NDA_DST)
	data = append(data, netip.MustParseAddr(addr).AsSlice()...)
	return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data}
}

func TestUnreachable(t *testing.T) {
	const leaf = "fe80::1"
	type news struct{ kind, state uint16 }
	failed := news{unix.RTM_NEWNEIGH, unix.NUD_FAILED}
	for name, test := range map[string]struct {
		news []news
		down bool
		want string
	}{
		"no answer":                      {[]news{failed}, false, "[fe80::1%eth0]"},
		"the kernel asks once more":      {[]news{failed, {unix.RTM_NEWNEIGH, unix.NUD_INCOMPLETE}}, false, "[fe80::1%eth0]"},
		"the kernel tidies up":           {[]news{failed, {unix.RTM_DELNEIGH, unix.NUD_FAILED}}, false, "[fe80::1%eth0]"},
		"an answer":                      {[]news{failed, {unix.RTM_NEWNEIGH, unix.NUD_REACHABLE}}, false, "[]"},
		"an answer after it tidied up":   {[]news{failed, {unix.RTM_DELNEIGH, 0}, {unix.RTM_NEWNEIGH, unix.NUD_REACHABLE}}, false, "[]"},
		"somebody sets it by hand":       {[]news{failed, {unix.RTM_NEWNEIGH, unix.NUD_PERMANENT}}, false, "[]"},
		"the link is down, all is new":   {[]news{failed}, true, "[]"},
		"heard, which is no answer":      {[]news{failed, {unix.RTM_NEWNEIGH, unix.NUD_STALE}}, false, "[fe80::1%eth0]"},
		"the kernel forgets what worked": {[]news{{unix.RTM_NEWNEIGH, unix.NUD_REACHABLE}, {unix.RTM_DELNEIGH, 0}}, false, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newView()
			v.links[2] = &device{name: "eth0", up: true}
			for _, n := range test.news {
				if err := v.applyNeighbour(neighbourNews(n.kind, n.state, leaf)); err != nil {
					t.Fatal(err)
				}
			}
			if test.down {
				v.links[2].up = false
				v.unreachable()
				v.links[2].up = true
			}
			if got := fmt.Sprint(v.unreachable()); got != test.want {
				t.Errorf("unreachable %s, want %s", got, test.want)
			}
		})
	}
}

// TestUnreachableIsBounded: whoever has the kernel look for many addresses does not fill our memory.
func TestUnreachableIsBounded(t *testing.T) {
	v := newView()
	v.links[2] = &device{name: "eth0", up: true}
	for i := range 10 * maxFailed {
		addr := fmt.Sprintf("fe80::1:%x", i)
		for _, kind := range []uint16{unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH} {
			if err := v.applyNeighbour(neighbourNews(kind, unix.NUD_FAILED, addr)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(v.unreachable()); n > maxFailed {
		t.Errorf("%d addresses are kept", n)
	}
}
