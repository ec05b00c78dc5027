package bfd

import (
	"strings"
	"testing"
	"time"
)

func TestTimersValidate(t *testing.T) {
	for _, good := range []Timers{
		fast,
		{Transmit: 300 * ms, Receive: 300 * ms, Multiplier: 3},
		{Transmit: MinInterval, Receive: MaxInterval, Multiplier: 255},
		{Transmit: 3300 * time.Microsecond, Receive: time.Second, Multiplier: 1},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, c := range []struct {
		timers Timers
		want   []string
	}{
		{Timers{}, []string{"transmit interval 0s", "receive interval 0s", "detect multiplier 0", "1ms", "1h11m34.967295s"}},
		{Timers{Transmit: -time.Second, Receive: time.Second, Multiplier: 1}, []string{"transmit interval -1s"}},
		{Timers{Transmit: time.Second, Receive: 2 * time.Hour, Multiplier: 1}, []string{"receive interval 2h0m0s"}},
		{Timers{Transmit: 1000001 * time.Nanosecond, Receive: time.Second, Multiplier: 1}, []string{"whole microseconds"}},
	} {
		err := c.timers.Validate()
		if err == nil {
			t.Errorf("%+v is valid", c.timers)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %q does not say %q", c.timers, err, w)
			}
		}
	}
}

func TestDetectTime(t *testing.T) {
	for _, c := range []struct {
		multiplier        uint8
		transmit, receive time.Duration
		want              time.Duration
	}{
		{3, 10 * ms, 10 * ms, 30 * ms},
		{3, 10 * ms, 300 * ms, 900 * ms},
		{5, time.Second, 300 * ms, 5 * time.Second},
		{255, MaxInterval, MaxInterval, 255 * MaxInterval},
	} {
		if got := DetectTime(c.multiplier, c.transmit, c.receive); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestDiscriminators(t *testing.T) {
	drawn := []uint32{0, 7, 7, 0, 9, 7, 9, 8, 7}
	d := Discriminators{draw: func() uint32 { n := drawn[0]; drawn = drawn[1:]; return n }}
	for _, want := range []uint32{7, 9, 8} {
		if got := d.Take(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	d.Free(7)
	if got := d.Take(); got != 7 {
		t.Errorf("%d, want 7, which was given back", got)
	}
}

func TestDiscriminatorsAreRandom(t *testing.T) {
	var d Discriminators
	seen := map[uint32]bool{}
	var ones, zeroes uint32 // bits that were ever 1, or 0
	for range 1000 {
		n := d.Take()
		if n == 0 || seen[n] {
			t.Fatalf("%d again", n)
		}
		seen[n] = true
		ones |= n
		zeroes |= ^n
	}
	if ones != ^uint32(0) || zeroes != ^uint32(0) {
		t.Errorf("bits that are always 0: %032b, always 1: %032b", ^ones, ^zeroes)
	}
}
