package hostagent

import (
	"errors"
	"fmt"
	"os"

	bpf "lastmile/bpf/uplink"
	"lastmile/hostagent/bfd/worker"
)

// The values of Config.BFDWatchdog.
const (
	watchdogAuto = "auto" // in the program that repairs frames
	watchdogOn   = "on"   // without the repair too
	watchdogOff  = "off"
)

func (c *Config) validateWatchdog(report func(key, problem string)) {
	switch c.BFDWatchdog {
	case watchdogAuto, watchdogOn, watchdogOff:
	default:
		report("bfd_watchdog", fmt.Sprintf("%q is not allowed: auto, on or off", c.BFDWatchdog))
	}
}

// repairs says whether frames are to be repaired.
func (c *Config) repairs() bool { return bpf.Mode(c.Repair.Mode) != bpf.Off }

// programs are the parts of the program on the uplinks that are on.
func (c *Config) programs() bpf.Options {
	return bpf.Options{Repair: c.repairs(), Watchdog: c.unwatched() == nil}
}

// place says where on the uplinks the program is to sit.
func (c *Config) place() bpf.Mode {
	if !c.repairs() && c.BFDWatchdog == watchdogOn {
		return bpf.Auto
	}
	return bpf.Mode(c.Repair.Mode)
}

// unwatched says why the configuration has no BFD watchdog, nil if it has.
func (c *Config) unwatched() error {
	switch {
	case c.BFDWatchdog == watchdogOff:
		return fmt.Errorf("bfd_watchdog: off: %w", worker.ErrWatchdogOff)
	case c.place() == bpf.Off:
		return fmt.Errorf("repair.mode: off: %w", worker.ErrWatchdogOff)
	}
	return nil
}

// openParts opens the programs with the parts that are wanted. The repair does not
// fail with the watchdog: it is then opened alone, for as long as this process
// runs.
func (c *Config) openParts(open func(bpf.Options) (hooks, error)) (hooks, error) {
	o := c.programs()
	h, err := open(o)
	if err == nil || !o.Watchdog || !o.Repair || errors.Is(err, bpf.ErrRunning) {
		return h, err
	}
	o.Watchdog = false
	if h, alone := open(o); alone == nil {
		return unwatched{h, err}, nil
	}
	return nil, err
}

// unwatched are programs that were to have a watchdog.
type unwatched struct {
	hooks
	why error
}

func (u unwatched) Watchdog() (sessions, events *os.File, err error) { return nil, nil, u.why }

// handWatchdog gives the BFD worker the maps of the watchdog in the program on
// the uplinks, or says why there is none. Only news are told: each has a line in
// the log.
func (a *Agent) handWatchdog() {
	r := &a.repairs
	if a.bfd == nil {
		return // Run opens the programs before BFD begins
	}
	why := a.cfg.unwatched()
	if why == nil && !r.opened {
		why = r.fault
	}
	told := brief(why)
	if r.handed != nil && *r.handed == told {
		return
	}
	r.handed = &told
	if why != nil || r.hooks == nil {
		a.bfd.SetWatchdog(nil, nil, why)
		return
	}
	a.bfd.SetWatchdog(r.hooks.Watchdog())
}
