package junos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Strike is one time that a fault did its work.
type Strike struct {
	Time    time.Time
	ID      int // of the fault, as Inject returned it
	Fault   Fault
	RPC     string // what it struck
	Session int    // 0 before a session has begun
}

// A PendingFault is a fault of which more is to come.
type PendingFault struct {
	ID    int
	Fault Fault
	Seen  int // matches so far
	Left  int // matches that it will still strike; below 0 all
}

// faults is a device's list of faults.
type faults struct {
	log *slog.Logger

	mu      sync.Mutex
	random  *rand.Rand
	nextID  int
	pending []*PendingFault
	struck  []Strike
	end     chan struct{} // closed when all are cleared, and another from then on
}

func newFaults(seed uint64, log *slog.Logger) *faults {
	return &faults{random: rand.New(rand.NewPCG(seed, 0)), log: log, end: make(chan struct{})}
}

// Inject puts a fault on the list and returns the number that Clear takes.
func (d *Device) Inject(f Fault) (id int, err error) {
	if f, err = f.completed(); err != nil {
		return 0, err
	}
	l := d.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextID++
	l.pending = append(l.pending, &PendingFault{ID: l.nextID, Fault: f, Left: f.Count})
	l.log.Info("fault injected", "fault", f.String(), "id", l.nextID)
	return l.nextID, nil
}

// Clear takes the fault off the list, and says whether it was there. A lock
// that it holds is released with the last of them.
func (d *Device) Clear(id int) bool {
	l := d.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.pending)
	l.pending = slices.DeleteFunc(l.pending, func(p *PendingFault) bool { return p.ID == id })
	return len(l.pending) < before
}

// ClearFaults empties the list and ends what faults have begun: whoever is held
// up goes on, the locks of FaultLock are released and the edits of FaultDirty
// are discarded.
func (d *Device) ClearFaults() {
	l := d.faults
	l.mu.Lock()
	l.pending = nil
	close(l.end)
	l.end = make(chan struct{})
	l.mu.Unlock()
	d.db.endIntrusions()
}

// A hold is the time that a fault takes, which is over when all are cleared.
type hold struct {
	cleared <-chan struct{}
	gone    <-chan struct{} // closed when nobody is held up any more; nil: never
}

// errGone ends a session whose client has not waited for a fault to end.
var errGone = errors.New("the client has gone")

// holding begins a hold; faults that are cleared after it end it.
func (l *faults) holding(gone <-chan struct{}) hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hold{l.end, gone}
}

// wait takes the time, 0 for ever.
func (h hold) wait(ctx context.Context, t time.Duration) error {
	var over <-chan time.Time
	if t > 0 {
		timer := time.NewTimer(t)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-h.cleared:
	case <-h.gone:
		return errGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Faults lists the faults of which more is to come.
func (d *Device) Faults() []PendingFault {
	l := d.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]PendingFault, len(l.pending))
	for i, p := range l.pending {
		out[i] = *p
	}
	return out
}

// Strikes lists what faults have done since New, oldest first.
func (d *Device) Strikes() []Strike {
	l := d.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.struck)
}

// strike returns the faults that strike the operation now, oldest first.
func (l *faults) strike(operation string, session int) (out []Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pending {
		if !p.Fault.matches(operation) {
			continue
		}
		p.Seen++
		if p.Seen < p.Fault.Nth || p.Fault.Chance < 1 && l.random.Float64() >= p.Fault.Chance {
			continue
		}
		if p.Left > 0 {
			p.Left--
		}
		out = append(out, p.Fault)
		l.struck = append(l.struck, Strike{time.Now(), p.ID, p.Fault, operation, session})
		l.log.Info("fault strikes", "fault", p.Fault.String(), "id", p.ID, "rpc", operation, "session", session)
	}
	l.pending = slices.DeleteFunc(l.pending, func(p *PendingFault) bool { return p.Left == 0 })
	return out
}

// FaultCommand is the text form of the list of faults: "list" shows the faults
// of which more is to come, "log" what they have done, "clear" is ClearFaults,
// "clear N" Clear, and anything else is a fault for ParseFault and Inject.
func (d *Device) FaultCommand(line string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	var b strings.Builder
	switch {
	case line == "list":
		for _, p := range d.Faults() {
			fmt.Fprintf(&b, "%d\t%s\tmatches %d\n", p.ID, p.Fault, p.Seen)
		}
		return b.String(), nil
	case line == "log":
		for _, s := range d.Strikes() {
			fmt.Fprintf(&b, "%s\t%d\t%s\t%s\tsession %d\n", s.Time.UTC().Format(time.RFC3339Nano), s.ID, s.Fault, s.RPC, s.Session)
		}
		return b.String(), nil
	case line == "clear":
		d.ClearFaults()
		return "", nil
	case word == "clear":
		id, err := strconv.Atoi(rest)
		if err != nil || !d.Clear(id) {
			return "", fmt.Errorf("there is no fault %q: see list", rest)
		}
		return "", nil
	}
	f, err := ParseFault(line)
	if err != nil {
		return "", err
	}
	id, err := d.Inject(f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d\n", id), nil
}
