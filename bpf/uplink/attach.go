package uplink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attached is an interface with a program of ours.
type attached struct {
	asked    Mode // empty if the last Attach failed
	state    State
	link     link.Link
	counters *ebpf.Map
}

// close lets go: a link that is not pinned detaches.
func (u *attached) close() error {
	var errs []error
	if u.link != nil {
		errs = append(errs, u.link.Close())
	}
	if u.counters != nil {
		errs = append(errs, u.counters.Close())
	}
	return errors.Join(errs...)
}

// Attach puts our program on the interface of that name and index, or replaces ours that is there already without a gap.
// Saying it again changes nothing, unless the program has gone; so it may be said whenever something about the interface is
// news. An interface that was deleted and made again has another index. A failed Attach may be tried again later.
//
// The error is nil for an uplink that is Attached as wanted, and wraps [ErrOccupied] for one that is Occupied. If a program
// of ours is there and cannot be replaced it stays: then there is an error, and the State is Attached.
func (h *Hooks) Attach(name string, index int, mode Mode) (State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if mode == Off {
		return State{Interface: name, Index: index, Status: Disabled}, h.detach(name)
	}
	if u := h.uplinks[name]; u != nil && u.asked == mode {
		if on, err := interfaceOf(u.link); err == nil && on == index {
			return u.state, nil
		}
	}
	u, err := h.prepare(name, index)
	if err == nil {
		err = h.place(u, mode)
	}
	if err == nil {
		u.asked = mode // what failed is not as it was asked for, and is done when it is asked for again
	}
	switch {
	case errors.Is(err, ErrOccupied):
		u.state.Status = Occupied
	case u.link == nil:
		u.state.Status = Failed
	default:
		u.state.Status = Attached
		h.uplinks[name] = u
		return u.state, wrap(name, err)
	}
	return u.state, errors.Join(wrap(name, err), u.close())
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("attaching the BPF program to %s: %w", name, err)
}

// prepare returns what there is of ours on the interface already, with the counters that go by its name. What goes by its
// name and is on another interface is dropped: that interface has gone, or has another name now.
func (h *Hooks) prepare(name string, index int) (*attached, error) {
	u := &attached{state: State{Interface: name, Index: index, Unpinned: h.unpinned}}
	for old, other := range h.uplinks {
		if on, err := interfaceOf(other.link); err == nil && on == index {
			u.link, u.state = other.link, other.state
			u.state.Interface, u.state.Unpinned = name, h.unpinned
			other.link = nil
		} else if old != name {
			continue
		}
		delete(h.uplinks, old)
		if err := other.close(); err != nil {
			return u, err
		}
	}
	if h.pins == nil {
		var err error
		u.counters, err = h.objects.openMap(objectMapCounters, "")
		return u, err
	}
	if u.link == nil {
		var err error
		if u.link, u.state.Mode, err = h.pins.find(index); err != nil {
			return u, err
		}
	}
	return u, h.pin(u)
}

// pin sees to it that all that is pinned for the interface stands under its name, and nothing else does.
func (h *Hooks) pin(u *attached) error {
	dir := h.pins.of(u.state.Interface)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory for pins: %w", err)
	}
	var err error
	if u.counters, err = h.objects.openMap(objectMapCounters, dir); err != nil {
		return err
	}
	if err := h.pins.unpin(u.state.Interface, u.link); err != nil {
		return err
	}
	if u.link == nil {
		return nil
	}
	if err := u.link.Pin(filepath.Join(dir, string(u.state.Mode))); err != nil {
		return fmt.Errorf("moving a pin: %w", err)
	}
	return nil
}

// place brings the program to where it was asked for.
func (h *Hooks) place(u *attached, asked Mode) error {
	if u.link != nil && (asked == Auto || asked == u.state.Mode) {
		return h.replace(u)
	}
	if u.link != nil {
		if err := h.remove(u); err != nil {
			return err
		}
	}
	var errs []error
	for _, place := range asked.candidates(driver(u.state.Interface)) {
		for _, v := range variants(place) {
			err := h.attach(u, place, v)
			if err == nil || errors.Is(err, ErrOccupied) {
				return err
			}
			if place == TCX {
				err = fmt.Errorf("(Linux 6.6 and later) %w", err)
			}
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
		}
	}
	return errors.Join(errs...)
}

// replace puts the program in the place of ours that runs, from one frame to the next.
func (h *Hooks) replace(u *attached) error {
	var errs []error
	for _, v := range variants(u.state.Mode) {
		p, err := h.objects.load(v, u.counters)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = u.link.Update(p)
		if closeErr := p.Close(); err == nil {
			h.describe(u, u.state.Mode, v)
			return closeErr
		}
		errs = append(errs, fmt.Errorf("replacing the program: %w", err))
	}
	return errors.Join(errs...)
}

// remove takes ours off, because it is to be somewhere else.
func (h *Hooks) remove(u *attached) error {
	var err error
	if h.pins != nil {
		err = h.pins.unpin(u.state.Interface, nil)
	}
	err = errors.Join(err, u.link.Close())
	u.link, u.state.Mode = nil, ""
	return err
}

// attach tries one variant at one place.
func (h *Hooks) attach(u *attached, place Mode, v variant) error {
	p, err := h.objects.load(v, u.counters)
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := attachAt(place, u.state.Index, p)
	switch {
	// EEXIST: in another mode, which cannot be active at the same time.
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", ErrOccupied, err)
	case err != nil:
		return err
	}
	u.link = l
	h.describe(u, place, v)
	if h.pins != nil {
		err := l.Pin(filepath.Join(h.pins.of(u.state.Interface), string(place)))
		u.state.Unpinned = err
	}
	return nil
}

func attachAt(place Mode, index int, p *ebpf.Program) (link.Link, error) {
	switch place {
	case TCX:
		return link.AttachTCX(link.TCXOptions{
			Interface: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
	case Native:
		return link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPDriverMode})
	}
	return link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPGenericMode})
}

func (h *Hooks) describe(u *attached, place Mode, v variant) {
	u.state.Mode, u.state.Program = place, v.program
	u.state.Repair = h.options.Repair
	u.state.Watchdog = v.timers && len(h.objects.shared) > 0
}
