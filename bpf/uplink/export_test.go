package uplink

import (
	"errors"
	"slices"
)

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
