package hostagent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lastmile/bpf/etherfix"
	bpf "lastmile/bpf/uplink"
)

// RepairConfig says where on the uplinks the program sits that repairs IPv4 packets in frames marked as IPv6.
type RepairConfig struct {
	// Mode is one of the modes of [bpf.Mode]; off is no repair.
	Mode string `yaml:"mode"`
}

func (r *RepairConfig) validate(report func(key, problem string)) {
	if _, err := bpf.ParseMode(r.Mode); err != nil {
		report("repair.mode", fmt.Sprintf("%q is not allowed: auto, native, generic, tcx or off", r.Mode))
	}
}

// hooks are what the agent asks of the programs on the uplinks.
type hooks interface {
	Attach(name string, index int, mode bpf.Mode) (bpf.State, error)
	Detach(name string) error
	Names() ([]string, error)
	Counters(name string) (etherfix.Counters, error)
	Watchdog() (sessions, events *os.File, err error)
	Close() error
}

// reattachAfter is how long after a failure to attach the program it is tried again. Whoever had the interface's place for
// it may have left.
const reattachAfter = 10 * time.Second

// repairs are the programs on the uplinks. All but shown belongs to the loop.
type repairs struct {
	open   func() (hooks, error) // nil, nil if there is nothing to attach and nothing to take off
	hooks  hooks                 // nil before it is opened
	opened bool
	fault  error     // why it could not be opened
	retry  time.Time // when what failed is tried again
	states map[string]repaired
	byHand map[string]bool // detached by `hostagent repair detach`
	handed *string         // why the BFD worker was told that it has no watchdog, "" if it was given one; nil: nothing yet
	shown  atomic.Pointer[shownRepairs]
}

// repaired is how the program on an uplink stands.
type repaired struct {
	bpf.State
	err error // why it is not as wanted
}

// shownRepairs is a state of repairs that others may look at.
type shownRepairs struct {
	hooks  hooks
	states map[string]repaired
}

// opener opens the programs on the uplinks, in the network namespace of the process.
func (c *Config) opener() func() (hooks, error) {
	return func() (hooks, error) {
		if _, err := os.Stat(bpf.DefaultDir); c.place() == bpf.Off && errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return c.openParts(func(o bpf.Options) (hooks, error) {
			h, err := bpf.Open(o)
			if err != nil {
				return nil, err
			}
			return h, nil
		})
	}
}

// closeHooks lets go of the programs, which stay at work.
func (a *Agent) closeHooks() error {
	if a.repairs.hooks == nil {
		return nil
	}
	return a.repairs.hooks.Close()
}

// attach puts the program on all uplinks that are there. It comes before BGP on a link: some drivers reset their queues for
// it. Said again it changes nothing, and tries again what has failed when it is time to.
func (a *Agent) attach() {
	r := &a.repairs
	due := a.openHooks()
	states := map[string]repaired{}
	for name, u := range a.uplinks {
		switch was, known := r.states[name]; {
		case u.missing:
			continue
		case r.hooks == nil:
			states[name] = a.unhooked(u)
		case known && was.err != nil && was.Index == u.link.Index && !due:
			states[name] = was
		default:
			states[name] = a.attachTo(u)
		}
		a.sayRepair(r.states[name], states[name])
	}
	r.states = states // never changed after this, so that others may read it
	r.shown.Store(&shownRepairs{r.hooks, states})
}

// attachRetry is attach where something has failed, or the program may have been taken off.
func (a *Agent) attachRetry() {
	if !time.Now().Before(a.repairs.retry) {
		a.attach()
	}
}

// openHooks takes hold of the programs unless it has them, and says whether it is time to try again what has failed.
func (a *Agent) openHooks() (due bool) {
	r := &a.repairs
	if time.Now().Before(r.retry) {
		return false
	}
	r.retry = time.Now().Add(reattachAfter)
	if r.opened {
		return true
	}
	h, err := r.open()
	if r.fault = err; err == nil {
		r.hooks, r.opened = h, true
		a.tidyHooks()
	}
	a.handWatchdog()
	return true
}

// tidyHooks takes what an earlier run left off what is no uplink any more.
func (a *Agent) tidyHooks() {
	h := a.repairs.hooks
	if h == nil {
		return
	}
	names, err := h.Names()
	for _, name := range names {
		if !a.cfg.isUplink(name) {
			a.log.Info("taking the program off what is no uplink", "link", name)
			err = errors.Join(err, h.Detach(name))
		}
	}
	a.complain("taking BPF programs of an earlier run off", err)
}

// unhooked is the state of an uplink as long as nothing can be attached anywhere.
func (a *Agent) unhooked(u *uplink) repaired {
	s := repaired{State: bpf.State{Interface: u.link.Name, Index: u.link.Index, Status: bpf.Failed}, err: a.repairs.fault}
	if a.cfg.place() == bpf.Off {
		s.Status = bpf.Disabled
	}
	return s
}

func (a *Agent) attachTo(u *uplink) repaired {
	mode := a.cfg.place()
	if a.repairs.byHand[u.link.Name] {
		mode = bpf.Off
	}
	state, err := a.repairs.hooks.Attach(u.link.Name, u.link.Index, mode)
	return repaired{state, err}
}

// sayRepair logs what has changed about the program on an uplink.
func (a *Agent) sayRepair(was, is repaired) {
	link := is.Interface
	switch {
	case is.same(was):
	case is.Status == bpf.Attached && is.err == nil:
		says := "frames are repaired"
		if !is.Repair {
			says = "frames are not repaired, BFD is watched"
		}
		a.log.Info(says, "link", link, "mode", is.Mode, "program", is.Program)
		if is.Unpinned != nil {
			a.log.Warn("the program is on the link only as long as this process runs", "link", link, "err", is.Unpinned)
		}
	case is.Status == bpf.Attached:
		a.log.Warn("the program of an earlier run repairs frames and cannot be replaced", "link", link, "err", is.err)
	case is.Status == bpf.Disabled && is.err == nil:
		a.log.Info("frames are not repaired", "link", link, "repair", is.why())
	default:
		a.log.Warn("frames are not repaired", "link", link, "repair", is.Status, "err", is.err)
	}
}

// same says whether there is nothing new to tell.
func (s repaired) same(was repaired) bool {
	return s.Index == was.Index && s.Status == was.Status && s.Mode == was.Mode && brief(s.err) == brief(was.err)
}

// why says in a line why an uplink is not repaired as wanted, "" if it is.
func (s repaired) why() string {
	switch {
	case s.err != nil:
		return oneLine(s.err)
	case s.Status == bpf.Disabled:
		return string(bpf.Off)
	case s.Status == bpf.Attached && !s.Repair:
		return "repair.mode is off; the program watches BFD"
	case s.Unpinned != nil:
		return "ends with this process: " + oneLine(s.Unpinned)
	}
	return ""
}

// oneLine is an error, which may be made of several, in a line.
func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// Notes are faults that keep no server from being reachable, a line each.
func (a *Agent) Notes() []string {
	var notes []string
	shown := a.repairs.shown.Load()
	if shown == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(shown.states)) {
		if s := shown.states[name]; s.err != nil {
			notes = append(notes, fmt.Sprintf("%s: repair %s: %s", name, s.Status, oneLine(s.err)))
		}
	}
	return notes
}

// repairByHand takes the program off an uplink, or off all, and keeps it off; or attaches it again. It returns which.
func (a *Agent) repairByHand(link string, detach bool) ([]string, error) {
	if !detach && a.cfg.place() == bpf.Off {
		return nil, errors.New("repair.mode is off in the configuration")
	}
	var links []string
	for _, name := range slices.Sorted(maps.Keys(a.uplinks)) {
		if (link == "" || link == name) && !a.uplinks[name].missing {
			links = append(links, name)
		}
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("no uplink %s is there", link)
	}
	for _, name := range links {
		a.repairs.byHand[name] = detach
	}
	a.repairs.retry = time.Time{}
	a.attach()
	var errs []error
	for _, name := range links {
		errs = append(errs, a.repairs.states[name].err)
	}
	return links, errors.Join(errs...)
}
