// Package bfdwatch watches BFD sessions in the kernel: the program on the uplink (bfdwatch.h) winds up a timer with each
// control packet of a session, and the timer reports itself when the detect time has passed without one. No process needs to
// run for that, so load on the machine does not matter.
//
// The two maps between the kernel and us are shared by all uplinks of a network namespace. They are made by
// [lastmile/bpf/uplink] and may be handed to another process as files. Reading events takes no privilege and no memory
// allocation. Arming is an update of a map: kernels before 6.0 where kernel.unprivileged_bpf_disabled is set ask CAP_BPF of
// the process that does it.
//
// It is an addition to the session's own timer and no replacement. A timer can only be started by a packet, so after
// [Watchdog.Arm] nothing runs until the first has come, and a peer that falls silent at once is for the session's own timer
// to notice. And the program only knows what passes it: if it is taken off the interface, a session that lives runs down. So
// who gets an [Event] first drains the session's socket, and believes it only if nothing came after Last.
package bfdwatch

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the two maps, and of their pins in the directory that uplink names.
const (
	SessionsMap = "sessions"
	EventsMap   = "events"
)

// Sessions is how many sessions there is room for.
const Sessions = 64

// maxDetect is far beyond what BFD would be used for.
const maxDetect = time.Hour

// A Key names a session.
type Key struct {
	Interface     uint32 // index of the uplink
	Discriminator uint32 // ours: "your discriminator" in the peer's packets
}

// A Session is what to watch.
type Session struct {
	Key
	Peer   netip.Addr    // source address of its packets, with or without a zone
	Detect time.Duration // silence after which to report, up to an hour
}

// A Generation tells one arming of a session from the next: the time of it, CLOCK_MONOTONIC in ns. Those that one Watchdog
// gives are all different.
type Generation uint64

// A Watchdog arms sessions and reads what became of them. It belongs to one goroutine.
type Watchdog struct {
	sessions *os.File
	events   *Events
	armed    map[Key]armed
	slots    [Sessions]bool // taken
	last     Generation
}

type armed struct {
	generation Generation
	slot       uint32
}

// New returns the watchdog with the given maps, which it owns from now on, also if it fails. Sessions that somebody armed
// before are forgotten: there is one Watchdog at a time.
func New(sessions, events *os.File) (*Watchdog, error) {
	if err := errors.Join(check(sessions, sessionsShape), check(events, eventsShape)); err != nil {
		return nil, errors.Join(err, sessions.Close(), events.Close())
	}
	reader, err := NewEvents(events)
	if err != nil {
		return nil, errors.Join(err, sessions.Close())
	}
	w := &Watchdog{sessions: sessions, events: reader, armed: map[Key]armed{}}
	if err := w.clear(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Open returns the watchdog whose maps are pinned in a directory.
func Open(dir string) (*Watchdog, error) {
	sessions, err := get(filepath.Join(dir, SessionsMap))
	if err != nil {
		return nil, err
	}
	events, err := get(filepath.Join(dir, EventsMap))
	if err != nil {
		return nil, errors.Join(err, sessions.Close())
	}
	return New(sessions, events)
}

// Close stops watching: all that is armed is disarmed.
func (w *Watchdog) Close() error {
	err := w.clear()
	return errors.Join(err, w.sessions.Close(), w.events.Close())
}

// Arm begins to watch a session, or watches it by a new peer address or detect time from now on: with the next packet, in
// both cases. Events of earlier armings are not reported any more.
func (w *Watchdog) Arm(s Session) (Generation, error) {
	if s.Detect <= 0 || s.Detect > maxDetect {
		return 0, fmt.Errorf("watching BFD session %d: detect time %v is not allowed: above 0 and up to %v",
			s.Discriminator, s.Detect, maxDetect)
	}
	if !s.Peer.Is6() || s.Peer.Is4In6() {
		return 0, fmt.Errorf("watching BFD session %d: peer %v is not allowed: an IPv6 address", s.Discriminator, s.Peer)
	}
	now, err := monotonic()
	if err != nil {
		return 0, err
	}
	w.last = max(w.last+1, now)
	slot, err := w.slot(s.Key)
	if err == nil {
		value := session{generation: w.last, detect: uint64(s.Detect), peer: s.Peer.As16(), slot: slot}
		err = update(w.sessions, &s.Key, &value)
	}
	if err != nil {
		return 0, fmt.Errorf("watching BFD session %d: %w", s.Discriminator, err)
	}
	w.slots[slot] = true
	w.armed[s.Key] = armed{w.last, slot}
	return w.last, nil
}

// ErrFull says that as many sessions are armed as there is room for.
var ErrFull = fmt.Errorf("there is room for %d sessions", Sessions)

// slot is the session's, or a free one.
func (w *Watchdog) slot(k Key) (uint32, error) {
	if a, ok := w.armed[k]; ok {
		return a.slot, nil
	}
	for i, taken := range w.slots {
		if !taken {
			return uint32(i), nil
		}
	}
	return 0, ErrFull
}

// Disarm stops watching a session. Doing it twice is no error.
func (w *Watchdog) Disarm(k Key) error {
	if err := remove(w.sessions, &k); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("no longer watching BFD session %d: %w", k.Discriminator, err)
	}
	if a, ok := w.armed[k]; ok {
		w.slots[a.slot] = false
		delete(w.armed, k)
	}
	return nil
}

// Next fills in the next event and returns true, or returns false if there is none now. Events of sessions that were
// disarmed, or armed anew, are left out. A session stays armed after its event: the next packet starts its timer again.
func (w *Watchdog) Next(e *Event) bool {
	for w.events.Next(e) {
		if w.armed[e.Key].generation == e.Generation {
			return true
		}
	}
	return false
}

// FD is readable while there are events. It is the file descriptor to poll, and to do nothing else with.
func (w *Watchdog) FD() int { return w.events.FD() }

// clear removes all sessions from the map, and with it forgets all events.
func (w *Watchdog) clear() error {
	clear(w.armed)
	clear(w.slots[:])
	for {
		var k Key
		err := first(w.sessions, &k)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err == nil {
			err = remove(w.sessions, &k)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("clearing watched BFD sessions: %w", err)
		}
	}
}

func monotonic() (Generation, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return Generation(now.Nano()), nil
}
