package uplink

import (
	"errors"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// HasTimers says whether the kernel has what the watchdog needs (Linux 5.15).
func HasTimers() bool { return features.HaveProgramHelper(ebpf.XDP, asm.FnTimerInit) == nil }

// HasFrags says whether the kernel hands frames of many pages to a program (Linux 5.18).
func HasFrags() bool { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpGetBuffLen) == nil }

// LoadVariants loads every variant of the program, the ones for older kernels too.
func LoadVariants() error {
	ob, err := loadObjects(Options{Repair: true, Watchdog: true}, "")
	if err != nil {
		return err
	}
	counters, err := ob.openMap(objectMapCounters, "")
	errs := []error{err}
	for _, v := range slices.Concat(xdpVariants, tcxVariants) {
		p, err := ob.load(v, counters)
		if errs = append(errs, err); err == nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(append(errs, counters.Close(), ob.close())...)
}

// Break has the verifier refuse every program that is loaded from now on, until mend is called.
func (h *Hooks) Break() (mend func()) {
	right := h.objects.spec
	h.objects.spec = right.Copy()
	for _, p := range h.objects.spec.Programs {
		p.Instructions = asm.Instructions{asm.Return()} // without a verdict
	}
	return func() { h.objects.spec = right }
}
