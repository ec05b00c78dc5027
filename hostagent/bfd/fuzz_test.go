package bfd

import (
	"testing"
	"time"
)

// A neighbour may say anything at any time, and so may whoever runs us: the
// session keeps its promises to both.
func FuzzSession(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0x40, 3, 10, 10, 1, 0, 0x80, 3, 10, 10, 1, 0, 0xe0, 3, 1, 1, 1, 2, 5, 9, 3})
	f.Add([]byte{0, 0x40, 3, 10, 10, 9, 0, 0x80, 3, 0, 0, 9, 4, 5, 1, 200, 0, 0xe2, 255, 255, 255, 1, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<12 {
			return
		}
		z := fuzzed{t: t, end: newEnd(t, Config{Passive: len(script)%2 == 1}), script: script, was: Down}
		start := z.now
		for len(z.script) > 0 {
			z.step()
			z.check()
		}
		// So many at once, and one in each interval: 0.75 ms and 1 ms at least.
		if most := extraBurst + int((z.now-start)/(400*time.Microsecond)) + 1; z.sent > most {
			t.Fatalf("%d packets in %v", z.sent, z.now-start)
		}
	})
}

type fuzzed struct {
	*end
	t      *testing.T
	script []byte
	sent   int
	was    State // as far as it has told
}

// next is the next number of the script.
func (z *fuzzed) next() int {
	if len(z.script) == 0 {
		return 0
	}
	n := z.script[0]
	z.script = z.script[1:]
	return int(n)
}

// interval is 0 to 65 s, and sometimes the longest there is.
func (z *fuzzed) interval() time.Duration {
	n := z.next()
	if n == 255 {
		return MaxInterval
	}
	return time.Duration(n*n) * ms
}

func (z *fuzzed) step() {
	switch z.next() % 6 {
	case 0:
		flags := z.next()
		p := Packet{
			State: State(flags >> 6), Poll: flags&bitPoll != 0, Final: flags&bitFinal != 0, Demand: flags&bitDemand != 0,
			Authentication: flags&bitAuthentication != 0, Multiplier: uint8(max(z.next(), 1)),
			DesiredMinTx: z.interval(), RequiredMinRx: z.interval(), MyDiscriminator: theirs, YourDiscriminator: uint32(z.next() % 3),
		}
		if p.YourDiscriminator == 0 && p.State > Down {
			return // Parse has dropped it
		}
		z.Receive(&p, z.now-time.Duration(z.next())*ms)
	case 1:
		z.now += time.Duration(z.next()) * ms
	case 2:
		timers := Timers{Transmit: z.interval(), Receive: z.interval(), Multiplier: uint8(z.next())}
		if err := z.SetTimers(timers); (err == nil) != (timers.Validate() == nil) {
			z.t.Fatalf("%+v: %v", timers, err)
		}
	case 3:
		z.Disable(z.now)
	case 4:
		z.Enable(z.now)
	case 5:
		if d := z.Deadline(); d > z.now && d < Never-time.Hour {
			z.now = d
		}
	}
}

// check does what is due, and looks at it.
func (z *fuzzed) check() {
	z.Tick(z.now)
	for _, p := range z.sends() { // which looks at the deadline too
		z.sent++
		if p.Poll && p.Final || p.State != z.state || p.Demand || p.Authentication || p.Multiplier == 0 ||
			p.DesiredMinTx != z.offered.transmit || p.DesiredMinTx < time.Second && p.State != Up {
			z.t.Fatalf("sends %+v", p)
		}
		if again, drop := Parse(p.Append(nil), HopLimit); drop != Accepted || again != p {
			z.t.Fatalf("%+v is read as %+v, %v", p, again, drop)
		}
	}
	if z.inForce.transmit > z.offered.transmit || z.inForce.receive < z.offered.receive {
		z.t.Fatalf("in force %+v, offered %+v", z.inForce, z.offered)
	}
	if last, known := z.LastReceived(); known && z.now-last >= z.DetectTime() {
		z.t.Fatalf("%v, and silent for %v", z.state, z.now-last)
	}
	for _, c := range z.changes {
		if c.From != z.was || c.To == c.From || c.To == Up && c.Cause != Handshake {
			z.t.Fatalf("from %v: %+v", z.was, z.changes)
		}
		z.was = c.To
	}
	if z.was != z.state {
		z.t.Fatalf("%v, and nobody was told", z.state)
	}
	z.changes = z.changes[:0]
}
