package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

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
	for _, name := range []string{bfdwatch.SessionsMap, bfdwatch.EventsMap} {
		m, err := ob.openMap(name, dir)
		if err != nil {
			return nil, errors.Join(err, ob.close())
		}
		ob.shared[name] = m
	}
	return ob, nil
}

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
		return nil, fmt.Errorf("making the BPF map %s: %w", name, err)
	}
	if dir == "" {
		return m, nil
	}
	if err := m.Pin(path); err != nil {
		return nil, errors.Join(fmt.Errorf("pinning the BPF map %s: %w", name, err), m.Close())
	}
	return m, nil
}

// load loads one variant for an interface with its counters.
func (ob *objects) load(v variant, counters *ebpf.Map) (*ebpf.Program, error) {
	spec := ob.spec.Copy()
	for name := range spec.Programs {
		if name != v.program {
			delete(spec.Programs, name)
		}
	}
	maps := map[string]*ebpf.Map{objectMapCounters: counters}
	for name, m := range ob.shared {
		maps[name] = m
	}
	if !v.timers {
		// A map that the program does not use, and that its kernel may not know.
		for _, name := range []string{bfdwatch.SessionsMap, bfdwatch.EventsMap} {
			delete(spec.Maps, name)
			delete(maps, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", v.program, err)
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
