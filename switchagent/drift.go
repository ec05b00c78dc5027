package switchagent

import (
	"slices"
	"time"

	"lastmile/switchagent/junos"
)

// What is done about stanzas that somebody else has changed or taken away.
const (
	driftRestore = "restore"
	driftAdopt   = "adopt"
	driftIgnore  = "ignore"
)

// restoreWindow is the time in which a stanza is restored so many times at most: two who disagree
// about a leaf's configuration must not fight it out there.
const restoreWindow = time.Hour

// drift remembers what the database held, to tell what somebody else has done to it from what is
// new. It knows nothing of before a restart, or before a session was lost: the leaf may have
// rebooted, so nothing that is missing then was taken away. What differs then was changed by others.
type drift struct {
	policy   string
	restores int // at most, of one stanza in restoreWindow

	held     map[junos.Place]junos.Stanza // at the last poll; nil if that is not known
	ours     map[junos.Place]junos.Stanza // committed since
	gone     map[junos.Place]bool         // taken away by somebody, and wanted
	altered  map[junos.Place]bool         // changed by somebody, and wanted otherwise
	adopted  map[junos.Place]bool         // somebody else's from now on
	restored map[junos.Place][]time.Time
}

func newDrift(policy string, restores int) *drift {
	return &drift{
		policy: policy, restores: restores, ours: map[junos.Place]junos.Stanza{}, gone: map[junos.Place]bool{},
		altered: map[junos.Place]bool{}, adopted: map[junos.Place]bool{}, restored: map[junos.Place][]time.Time{},
	}
}

// forget begins anew.
func (d *drift) forget() {
	d.held = nil
	clear(d.ours)
	clear(d.gone)
	clear(d.altered)
}

// see compares what the database holds in a good poll with the one before, and the difference with what is
// wanted. It returns how many stanzas a stranger has added.
func (d *drift) see(wanted junos.Change) (strange int) {
	now := byPlace(wanted.From)
	for place, s := range now {
		before, ok := d.ours[place]
		if !ok {
			before, ok = d.held[place]
		}
		switch {
		case ok && before.Same(s):
		case ok:
			d.altered[place] = true
		case d.held != nil:
			strange++
		}
		delete(d.gone, place)
	}
	for place := range d.held {
		if _, ok := now[place]; !ok {
			d.gone[place] = true
			delete(d.adopted, place)
		}
	}
	d.settle(wanted)
	d.held = now
	clear(d.ours)
	return strange
}

// settle drops the marks of what is not wanted, or not otherwise than it is. What is altered then is adopted, if
// that is the policy.
func (d *drift) settle(change junos.Change) {
	wanted, edits := byPlace(change.Add), map[junos.Place]bool{}
	for _, e := range change.Edit {
		edits[e.To.Place()] = true
		if d.held == nil {
			d.altered[e.To.Place()] = true
		}
	}
	for place := range d.gone {
		if _, ok := wanted[place]; !ok {
			delete(d.gone, place) // its server has left: the next one is new
		}
	}
	for place := range d.altered {
		if !edits[place] {
			delete(d.altered, place)
		} else if d.policy == driftAdopt {
			d.adopted[place] = true
		}
	}
}

// filter is the plan without what the policy leaves to others.
func (d *drift) filter(now time.Time, p plan) plan {
	return p.without(func(s junos.Stanza, _ junos.Change) refusal {
		place := s.Place()
		meddled := d.gone[place] || d.altered[place]
		if d.adopted[place] || meddled && (d.policy != driftRestore || d.recent(now, place) >= d.restores) {
			return drifted
		}
		return ""
	})
}

// recent is how often the stanza was restored lately.
func (d *drift) recent(now time.Time, place junos.Place) int {
	times := slices.DeleteFunc(d.restored[place], func(t time.Time) bool { return now.Sub(t) >= restoreWindow })
	if d.restored[place] = times; len(times) == 0 {
		delete(d.restored, place)
	}
	return len(times)
}

// committed notes what the agent itself has done, and returns how many stanzas it has restored.
func (d *drift) committed(now time.Time, change junos.Change) (restored int) {
	for _, s := range change.Stanzas() {
		place := s.Place()
		d.ours[place] = s
		if d.gone[place] || d.altered[place] {
			d.restored[place] = append(d.restored[place], now)
			restored++
		}
	}
	for _, s := range change.Remove {
		delete(d.held, s.Place())
		delete(d.ours, s.Place())
	}
	return restored
}
