package uplink

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"lastmile/bpf/bfdwatch"
	"lastmile/bpf/etherfix"
)

// Options say which parts of the programs are on.
type Options struct {
	Repair   bool
	Watchdog bool
	// Dir is the root of the pins, right below the mount point of a bpf file system. Empty is [DefaultDir].
	Dir string
}

// Hooks are the programs on the uplinks of one network namespace. Its methods may be called from any goroutine.
type Hooks struct {
	options  Options
	pins     *pins // nil without
	unpinned error // why there are none
	objects  *objects

	mu      sync.Mutex
	uplinks map[string]*attached // by name; only those with a program of ours
}

// Open takes hold of what an earlier process left, or begins anew. A program that was left goes on as it is until
// [Hooks.Attach] replaces it. Where nothing can be pinned the programs end with this process; [State.Unpinned] says why.
// [ErrRunning] says that another process has them.
func Open(o Options) (*Hooks, error) {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	h := &Hooks{options: o, uplinks: map[string]*attached{}}
	h.pins, h.unpinned = openPins(o.Dir)
	if errors.Is(h.unpinned, ErrRunning) {
		return nil, h.unpinned
	}
	var err error
	if h.objects, err = loadObjects(o, h.Dir()); err != nil {
		if h.pins != nil {
			err = errors.Join(err, h.pins.close())
		}
		return nil, err
	}
	return h, nil
}

// Dir is where the watchdog's maps are pinned ([bfdwatch.Open]), or empty.
func (h *Hooks) Dir() string {
	if h.pins == nil {
		return ""
	}
	return h.pins.dir
}

// Watchdog opens the maps of the BFD watchdog, for [bfdwatch.New] in this process or another.
func (h *Hooks) Watchdog() (sessions, events *os.File, err error) {
	if !h.options.Watchdog {
		return nil, nil, errors.New("the BFD watchdog is off")
	}
	if len(h.objects.shared) == 0 {
		return nil, nil, errors.New("this kernel has no BPF timers (before 5.15)")
	}
	if sessions, err = open(h.objects.shared[bfdwatch.SessionsMap]); err != nil {
		return nil, nil, err
	}
	if events, err = open(h.objects.shared[bfdwatch.EventsMap]); err != nil {
		return nil, nil, errors.Join(err, sessions.Close())
	}
	return sessions, events, nil
}

func open(m *ebpf.Map) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the BPF map %s: %w", m, err)
	}
	return os.NewFile(uintptr(fd), m.String()), nil
}

// Names are the interfaces that have a program of ours, or that an earlier process left something pinned for.
func (h *Hooks) Names() ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := slices.Collect(maps.Keys(h.uplinks))
	if h.pins != nil {
		pinned, err := h.pins.names()
		if err != nil {
			return nil, err
		}
		names = append(names, pinned...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Counters reads what the program on an uplink has counted. Without a program there is nothing.
func (h *Hooks) Counters(name string) (total etherfix.Counters, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.uplinks[name]
	if u == nil || u.counters == nil {
		return total, nil
	}
	if total, err = readCounters(u.counters); err != nil {
		return total, fmt.Errorf("reading the counters of %s: %w", name, err)
	}
	return total, nil
}

// readCounters adds up what the processors have counted.
func readCounters(m *ebpf.Map) (total etherfix.Counters, err error) {
	for v := range total.Verdicts {
		var processors []uint64
		if err := m.Lookup(uint32(v), &processors); err != nil {
			return total, err
		}
		for _, n := range processors {
			total.Verdicts[v] += n
		}
	}
	// In the place of frames that are left alone the program counts all.
	total.Seen, total.Verdicts[etherfix.Intact] = total.Verdicts[etherfix.Intact], 0
	return total, nil
}

// Detach takes our program off an interface, if there is one, and forgets its counters.
func (h *Hooks) Detach(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.detach(name)
}

func (h *Hooks) detach(name string) error {
	var errs []error
	if h.pins != nil {
		errs = append(errs, h.pins.forget(name))
	}
	if u := h.uplinks[name]; u != nil {
		errs = append(errs, u.close())
		delete(h.uplinks, name)
	}
	return errors.Join(errs...)
}

// DetachAll takes all our programs off, and removes what is pinned: the machine is as it was before the first Open.
func (h *Hooks) DetachAll() error {
	names, err := h.Names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, h.Detach(name))
	}
	if h.pins != nil {
		errs = append(errs, os.RemoveAll(h.pins.dir))
	}
	return errors.Join(errs...)
}

// Close gives the programs up: those that are pinned stay at work.
func (h *Hooks) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	errs := []error{h.objects.close()}
	for _, u := range h.uplinks {
		errs = append(errs, u.close())
	}
	clear(h.uplinks)
	if h.pins != nil {
		errs = append(errs, h.pins.close())
	}
	return errors.Join(errs...)
}
