package worker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// session is one BFD session and the socket it sends from.
type session struct {
	key
	order   watch
	machine *bfd.Session
	link    *link

	fd            int
	source        uint16
	to            unix.RawSockaddrInet6
	discriminator uint32

	change     bfd.Change    // the last
	since      time.Duration // CLOCK_REALTIME
	failed     time.Duration // see Report
	counters   Counters
	due        time.Duration // what the timer was last set to for this session
	unreported bool          // the client does not know yet how it is
	fresh      bool          // nor of change
	leaving    bool          // it is only there to say AdminDown
	guard      guard         // by the kernel's watchdog
}

// maxSessions bounds what one turn of the loop has to do. A server has a
// handful of uplinks.
const maxSessions = 128

// find returns the session of a key, nil if there is none.
func (w *worker) find(k key) *session {
	for _, s := range w.sessions {
		if s.key == k {
			return s
		}
	}
	return nil
}

// watch has a session be as ordered.
func (w *worker) watch(o watch, now time.Duration) error {
	if err := w.status.Scheduling.Holds(o.Timers); err != nil {
		return err
	}
	s := w.find(o.key)
	if s == nil {
		var err error
		if s, err = w.add(o, now); err != nil {
			return err
		}
	}
	if s.order.Timers != o.Timers {
		if err := s.machine.SetTimers(o.Timers); err != nil {
			return err
		}
	}
	s.order, s.leaving = o, false
	if o.AdminDown {
		s.machine.Disable(now)
	} else {
		s.machine.Enable(now)
	}
	s.unreported = true
	return nil
}

// add makes a session.
func (w *worker) add(o watch, now time.Duration) (*session, error) {
	if len(w.sessions) == maxSessions {
		return nil, fmt.Errorf("there are %d sessions already, more are not allowed", maxSessions)
	}
	l, err := w.link(o.key.Link)
	if err != nil {
		return nil, err
	}
	s := &session{key: o.key, order: o, link: l, to: addressOf(o.key), since: realtime(), due: bfd.Never}
	if s.fd, s.source, err = openSender(o.key.Link, w.sourceTaken); err != nil {
		w.release(l)
		return nil, err
	}
	s.discriminator = w.discriminators.Take()
	s.machine, err = bfd.New(bfd.Config{
		Discriminator: s.discriminator,
		Timers:        o.Timers,
		// We outlive the control plane, and forward without it.
		Independent: true,
		Changed:     s.changed,
	}, now)
	if err != nil {
		w.discriminators.Free(s.discriminator)
		unix.Close(s.fd)
		w.release(l)
		return nil, err
	}
	l.sessions++
	w.sessions = append(w.sessions, s)
	return s, nil
}

func (w *worker) sourceTaken(port uint16) bool {
	for _, s := range w.sessions {
		if s.source == port {
			return true
		}
	}
	return false
}

// leave has a session say AdminDown until the peer has heard it, and then end.
func (s *session) leave(now time.Duration) {
	s.machine.Disable(now)
	s.leaving, s.unreported = true, false
}

// sweep removes the sessions that have said farewell.
func (w *worker) sweep(now time.Duration) {
	kept := w.sessions[:0]
	for _, s := range w.sessions {
		if !s.leaving || now < s.machine.Farewell() {
			kept = append(kept, s)
			continue
		}
		w.disarm(s)
		unix.Close(s.fd)
		w.discriminators.Free(s.discriminator)
		s.link.sessions--
		w.release(s.link)
	}
	clear(w.sessions[len(kept):])
	w.sessions = kept
}

// receive takes a packet of the peer.
func (s *session) receive(p *bfd.Packet, at time.Duration) bfd.Drop {
	was := s.machine.RemoteState()
	drop := s.machine.Receive(p, at)
	if drop == bfd.Accepted {
		s.counters.Received++
	}
	if s.machine.RemoteState() == bfd.AdminDown && was != bfd.AdminDown && !s.leaving {
		s.unreported = true // ours may be down already, and not change
	}
	return drop
}

// changed notes a change of state; the machine calls it.
func (s *session) changed(c bfd.Change) {
	s.change, s.fresh = c, true
	s.since = realtime() - (monotonic() - c.At)
	s.unreported = !s.leaving
	if c.To == bfd.Up {
		s.counters.Ups++
	}
	if c.PathFailed() {
		s.counters.Failures++
		s.failed = c.At
	}
	if c.PathFailed() && c.Cause == bfd.Expired {
		s.counters.Expired++
		s.failed = c.LastReceived + c.DetectTime
	}
}

// tend does what is due, and returns when something is next.
func (w *worker) tend(s *session, now time.Duration) time.Duration {
	if due := s.machine.Deadline(); due <= now {
		s.noteLateness(now, max(due, s.due))
		// What is still in the socket counts. If there is more than can be
		// read, the machine's time stands still at the last packet.
		w.drain(s.link)
		s.machine.Tick(min(now, s.link.complete))
	}
	for p, ok := s.machine.Transmit(now); ok; p, ok = s.machine.Transmit(now) {
		s.send(p.Append(w.out[:0]))
	}
	s.due = s.machine.Deadline()
	if s.leaving {
		return min(s.due, s.machine.Farewell())
	}
	return s.due
}

func (s *session) noteLateness(now, due time.Duration) {
	late := now - due
	if i := s.machine.TransmitInterval(); i > 0 && late > i/4 {
		s.counters.Late++
	}
	s.counters.LateMax = max(s.counters.LateMax, late)
}

// send sends a packet. One that the kernel does not take is one that is lost:
// the next is on its way.
func (s *session) send(b []byte) {
	if errno := sendTo(s.fd, b, &s.to); errno != 0 {
		s.counters.SendErrors++
		s.counters.LastErrno = uint32(errno)
		return
	}
	s.counters.Sent++
}

// report fills in what a client is told.
func (s *session) report(id uint32, moves uint64, r *report) {
	*r = report{order: order{kindSession, id}, key: s.key, Name: s.order.Name, Changed: s.fresh}
	r.Report = Report{
		Status: s.machine.Status(), Change: s.change, Since: s.since, Failed: s.failed, SourcePort: s.source,
		Watchdog: s.guard.state, Counters: s.counters, Link: s.link.counters, Moves: moves,
	}
}
