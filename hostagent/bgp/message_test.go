package bgp

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

func TestCheckHeader(t *testing.T) {
	for name, test := range map[string]struct {
		kind     byte
		size     int
		extended bool
		want     string // "" for none
	}{
		"keepalive":               {kind: typeKeepalive, size: 19},
		"keepalive with a body":   {kind: typeKeepalive, size: 20, want: "1/2 0014"},
		"shorter than its header": {kind: typeKeepalive, size: 18, want: "1/2 0012"},
		"open":                    {kind: typeOpen, size: 29},
		"short open":              {kind: typeOpen, size: 28, want: "1/2 001c"},
		"update":                  {kind: typeUpdate, size: 4096},
		"long update":             {kind: typeUpdate, size: 4097, want: "1/2 1001"},
		"extended update":         {kind: typeUpdate, size: 65535, extended: true},
		"short update":            {kind: typeUpdate, size: 22, want: "1/2 0016"},
		"extended open":           {kind: typeOpen, size: 4097, extended: true, want: "1/2 1001"},
		"short notification":      {kind: typeNotification, size: 20, want: "1/2 0014"},
		"route refresh":           {kind: typeRouteRefresh, size: 23},
		"long route refresh":      {kind: typeRouteRefresh, size: 24, extended: true, want: "1/2 0018"},
		"no type":                 {kind: 0, size: 19, want: "1/3 00"},
		"unknown type":            {kind: 6, size: 19, want: "1/3 06"},
	} {
		t.Run(name, func(t *testing.T) {
			header := newMessage(test.kind)
			header[16], header[17] = byte(test.size>>8), byte(test.size)
			size, err := checkHeader(header, test.extended)
			if got := short(err); got != test.want || err == nil && size != test.size {
				t.Errorf("size %d, %q; want %q", size, got, test.want)
			}
		})
	}
	header := newMessage(typeKeepalive)
	header[15] = 0
	if _, err := checkHeader(header, false); short(err) != "1/1 " {
		t.Errorf("marker: %v", err)
	}
}

func TestFramer(t *testing.T) {
	sent := []message{
		newMessage(typeKeepalive),
		newMessage(typeUpdate, make([]byte, maxExtended-headerSize)...),
		newMessage(typeUpdate, 0, 0, 0, 0),
	}
	stream := slices.Concat(sent[0], sent[1], sent[2], newMessage(typeKeepalive)[:7])
	f := newFramer(iotest.HalfReader(bytes.NewReader(stream)))
	f.extended = true
	for i, want := range sent {
		m, err := f.next()
		if err != nil || !bytes.Equal(m, want) {
			t.Fatalf("message %d: %d bytes, %v", i, len(m), err)
		}
	}
	if m, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("a part of a message: %x, %v", m, err)
	}
}

// Whatever comes, messages are what was sent, cut where their headers say, and
// the first bad header ends it.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(newMessage(typeKeepalive)), true)
	f.Add([]byte(slices.Concat(newMessage(typeUpdate, 0, 0, 0, 0), newMessage(typeNotification, 6, 2))), false)
	f.Add(bytes.Repeat([]byte{0xff}, 40), true)
	f.Fuzz(func(t *testing.T, stream []byte, extended bool) {
		framer := newFramer(bytes.NewReader(stream))
		framer.extended = extended
		for rest := stream; ; {
			m, err := framer.next()
			if err != nil {
				var n *notification
				if !errors.As(err, &n) && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				return
			}
			if len(m) < headerSize || len(m) > maxExtended || !extended && len(m) > maxSize || !bytes.HasPrefix(rest, m) {
				t.Fatalf("%x, of %x", m, rest)
			}
			rest = rest[len(m):]
		}
	})
}
