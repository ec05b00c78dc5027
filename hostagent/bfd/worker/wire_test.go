package worker

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
)

// messages returns one of each kind, filled in.
func messages() []any {
	k := key{Link: 7, Peer: [16]byte{0xfe, 0x80, 15: 1}}
	timers := bfd.Timers{Transmit: time.Second, Receive: time.Millisecond, Multiplier: 3}
	return []any{
		&hello{Kind: kindHello, Version: protocol, PID: 99, Scheduling: FIFO, Locked: true, Reason: textOf(errors.New("one\ntwo"))},
		&stop{kindStop},
		&busy{kindBusy, 12},
		&watch{order{kindWatch, 1}, k, nameOf("enp193s0f1np1"), timers, true},
		&unwatch{order{kindUnwatch, 2}, k},
		&order{kindList, 3},
		&order{kindWatchdog, 6},
		&answer{order{kindAnswer, 4}, textOf(errors.New("no"))},
		&report{order{kindSession, 5}, k, nameOf("eth0"), true, Report{Status: bfd.Status{State: bfd.Up, Timers: timers}, Counters: Counters{Sent: 1 << 40}}},
	}
}

// blank returns an empty message of the kind that b says, nil for none.
func blank(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	switch kind(b[0]) {
	case kindHello:
		return &hello{}
	case kindStop:
		return &stop{}
	case kindBusy:
		return &busy{}
	case kindWatch:
		return &watch{}
	case kindUnwatch:
		return &unwatch{}
	case kindList, kindWatchdog:
		return &order{}
	case kindAnswer:
		return &answer{}
	case kindSession:
		return &report{}
	}
	return nil
}

func TestMessages(t *testing.T) {
	for _, m := range messages() {
		b := encode(nil, m)
		if len(b) > maxMessage {
			t.Errorf("%T has %d bytes, and room is for %d", m, len(b), maxMessage)
		}
		got := blank(b)
		if err := decode(b, got); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if again := encode(nil, got); !bytes.Equal(b, again) {
			t.Errorf("%T: %x, then %x", m, b, again)
		}
		if err := decode(b[:len(b)-1], got); err == nil {
			t.Errorf("%T is read from a byte less", m)
		}
	}
	if got := textOf(errors.New("one\ntwo")).String(); got != "one; two" {
		t.Errorf("text %q", got)
	}
	if got := textOf(errors.New(strings.Repeat("x", 1000))).String(); len(got) != len(text{}) {
		t.Errorf("a long text has %d bytes", len(got))
	}
}

// TestFrozenMessages: what two releases have to understand of each other never
// changes.
func TestFrozenMessages(t *testing.T) {
	b := encode(nil, &hello{Kind: kindHello, Version: 0x0102, PID: 0x03040506})
	if !bytes.HasPrefix(b, []byte{1, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("hello is % x", b)
	}
	if b := encode(nil, &stop{kindStop}); !bytes.Equal(b, []byte{2}) {
		t.Errorf("stop is % x", b)
	}
}

func FuzzMessages(f *testing.F) {
	for _, m := range messages() {
		f.Add(encode(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := blank(b)
		if m == nil || decode(b, m) != nil {
			return
		}
		// A bool may have come as any byte but 0.
		again := encode(nil, m)
		if len(again) > len(b) {
			t.Fatalf("%d bytes were read from %d", len(again), len(b))
		}
	})
}

func TestHolds(t *testing.T) {
	ms := func(tx, rx int, mult uint8) bfd.Timers {
		return bfd.Timers{Transmit: time.Duration(tx) * time.Millisecond, Receive: time.Duration(rx) * time.Millisecond, Multiplier: mult}
	}
	for _, test := range []struct {
		scheduling Scheduling
		timers     bfd.Timers
		want       string // of the error; empty: held
	}{
		{FIFO, ms(10, 10, 3), ""},
		{FIFO, ms(9, 10, 3), "transmit interval 9ms: at least 10ms is allowed"},
		{FIFO, ms(10, 9, 3), "receive interval 9ms: at least 10ms is allowed"},
		{FIFO, ms(10, 10, 2), "transmit interval 10ms x 2: the peer would wait 20ms, at least 30ms is allowed"},
		{FIFO, ms(300, 300, 0), "detect multiplier 0"},
		{Normal, ms(100, 100, 3), ""},
		{Normal, ms(1000, 1000, 1), ""},
		{Normal, ms(99, 100, 4), "at least 100ms is allowed; less needs SCHED_FIFO, and the worker's scheduling is normal: it lacks the capability CAP_SYS_NICE"},
		{Nice, ms(50, 50, 3), "the worker's scheduling is nice"},
		{Nice, ms(100, 100, 2), "the peer would wait 200ms, at least 300ms is allowed"},
		{Nice, ms(300, 300, 1), ""},
	} {
		err := test.scheduling.Holds(test.timers)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %+v: %v, want %q", test.scheduling, test.timers, err, test.want)
		}
	}
}
