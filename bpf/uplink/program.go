package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"

	"lastmile/bpf/bfdwatch"
)

// A variant is one way to compile the program for XDP. Kernels and drivers differ in what they take, and say so when asked.
type variant struct {
	program string
	timers  bool // can hold the watchdog
}

// The best first: frames of many pages from Linux 5.18 on and only with some drivers, timers from 5.15 on.
var (
	xdpVariants = []variant{{objectProgUplinkFrags, true}, {objectProgUplinkPlain, true}, {objectProgUplinkRepair, false}}
	tcxVariants = []variant{{objectProgUplinkTcx, true}}
)

func variants(place Mode) []variant {
	if place == TCX {
		return tcxVariants
	}
	return xdpVariants
}

// objects makes programs and the maps that they share.
type objects struct {
	spec   *ebpf.CollectionSpec
	shared map[string]*ebpf.Map // sessions and events, none if the watchdog is off or cannot be
}

// loadObjects makes the shared maps, or takes those pinned in dir unless that is empty.
func loadObjects(o Options, dir string) (*objects, error) {
	// Before Linux 5.11 maps count as locked memory. Without the right to lift the limit they may fit all the same.
	_ = rlimit.RemoveMemlock()
	spec, err := loadObject()
	if err != nil {
		return nil, fmt.Errorf("reading our own BPF object: %w", err)
	}
	ob := &objects{spec: spec, shared: map[string]*ebpf.Map{}}
	if err := errors.Join(
		spec.Variables[objectVarRepairOn].Set(o.Repair),
		spec.Variables[objectVarWatchdogOn].Set(o.Watchdog),
	); err != nil {
		return nil, fmt.Errorf("configuring our own BPF object: %w", err)
	}
	if !o.Watchdog {
		return ob, nil
	}
	if err := features.HaveProgramHelper(ebpf.XDP, asm.FnTimerInit); errors.Is(err, ebpf.ErrNotSupported) {
		return ob, nil
	}
	for _, name := range watchdogMaps {
		m, err := ob.openMap(name, dir)
		if err != nil {
			return nil, errors.Join(err, ob.close())
		}
		ob.shared[name] = m
	}
	if err := ob.makeTimers(); err != nil {
		return nil, errors.Join(err, ob.close())
	}
	return ob, nil
}

// watchdogMaps are shared by the programs on all uplinks.
var watchdogMaps = []string{bfdwatch.SessionsMap, objectMapWatches, bfdwatch.EventsMap}

// makeTimers makes the timers of all sessions that there may be. Newer kernels take the memory for a timer from what is at
// hand on the processor, and Linux 6.18 was seen to have none for one in twenty, and for some of these none for a second. So
// it is not left to the first packet, though that would try too.
func (ob *objects) makeTimers() error {
	p, err := ob.load(variant{objectProgMakeTimer, true}, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	deadline := time.Now().Add(patience)
	frame := make([]byte, 14)
	for slot := range uint32(bfdwatch.Sessions) {
		binary.NativeEndian.PutUint32(frame, slot)
		for {
			verdict, err := p.Run(&ebpf.RunOptions{Data: frame})
			if err != nil {
				return fmt.Errorf("making timers: %w", err)
			}
			if verdict != xdpAborted || time.Now().After(deadline) {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// patience is how long making timers may hold up the start.
const patience = time.Second

// xdpAborted is XDP_ABORTED, of which make_timer makes "it did not work".
const xdpAborted = 0

// openMap takes the map pinned in dir, or makes one and pins it there, unless dir is empty. One that an older release pinned
// and that is of another shape is left behind.
func (ob *objects) openMap(name, dir string) (*ebpf.Map, error) {
	spec, path := ob.spec.Maps[name], filepath.Join(dir, name)
	if dir != "" {
		m, err := ebpf.LoadPinnedMap(path, nil)
		switch {
		case err == nil && spec.Compatible(m) == nil:
			return m, nil
		case err == nil:
			err = errors.Join(m.Unpin(), m.Close())
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("opening the BPF map %s: %w", path, err)
		}
	}
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, fmt.Errorf("making the BPF map %s: %w", name, refused(err))
	}
	if dir == "" {
		return m, nil
	}
	if err := m.Pin(path); err != nil {
		return nil, errors.Join(fmt.Errorf("pinning the BPF map %s: %w", name, err), m.Close())
	}
	return m, nil
}

// load loads one variant, for an interface with its counters.
func (ob *objects) load(v variant, counters *ebpf.Map) (*ebpf.Program, error) {
	spec := ob.spec.Copy()
	for name := range spec.Programs {
		if name != v.program {
			delete(spec.Programs, name)
		}
	}
	maps := map[string]*ebpf.Map{}
	if counters != nil {
		maps[objectMapCounters] = counters
	}
	for name, m := range ob.shared {
		maps[name] = m
	}
	if !v.timers {
		// A map that the program does not use, and that its kernel may not know.
		for _, name := range watchdogMaps {
			delete(spec.Maps, name)
			delete(maps, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", v.program, refused(err))
	}
	defer c.Close()
	return c.DetachProgram(v.program), nil
}

func (ob *objects) close() error {
	var errs []error
	for _, m := range ob.shared {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
