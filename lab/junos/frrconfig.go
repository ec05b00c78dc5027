package junos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Router is the routing software that a device's committed configuration turns
// into: FRR, through vtysh. It must start without any configuration of BGP.
type Router interface {
	// Show runs one command of the enable mode and returns what it prints.
	Show(ctx context.Context, command string) ([]byte, error)
	// Configure applies lines of configuration in one batch. Lines before a
	// refused one may stay applied.
	Configure(ctx context.Context, lines []string) error
}

// A setting is one line of FRR's configuration, or for an object that can only
// be replaced as a whole, several.
type setting struct {
	object string // what it belongs to: "neighbor fe80::1", "route-map X permit 10"
	path   string // the lines that lead to its context, "\n" between them
	key    string // settings with the same path and key replace each other
	text   string
	undo   string // default: text with "no" in front, or without
	root   bool   // undoing it removes the whole object
	policy bool   // must exist before it is referred to, and longer
	whole  bool   // undone before it is replaced
}

func (s *setting) id() string { return s.path + "\n" + s.key }

func (s *setting) undoing() string {
	if s.undo != "" {
		return s.undo
	}
	if bare, isNo := strings.CutPrefix(s.text, "no "); isNo {
		return bare
	}
	return "no " + s.text
}

// routing is what was applied to the router, setting by setting. It is owned by
// whoever holds the device's commit slot.
type routing struct {
	router  Router
	applied []*setting
}

// apply makes the router's configuration the wanted one, touching only what
// differs, and returns the objects that it touched. What the router refuses is
// in the error and is tried again by the next apply; the rest is applied.
func (r *routing) apply(ctx context.Context, want []*setting) (touched []string, err error) {
	steps := difference(r.applied, want)
	if len(steps) == 0 {
		return nil, nil
	}
	for _, s := range steps {
		if !slices.Contains(touched, s.object) {
			touched = append(touched, s.object)
		}
	}
	if err = r.router.Configure(ctx, batch(steps)); err == nil {
		r.applied = want
		return touched, nil
	}
	// One bad statement must not take the others with it.
	var errs []error
	for _, object := range touched {
		mine := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.object != object })
		if len(errs) > 0 && mine[0].leftover {
			continue // what was refused may refer to it still
		}
		if err := r.applyObject(ctx, mine); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", object, err))
		}
	}
	return touched, errors.Join(errs...)
}

// applyObject takes the steps of one object at once or, if the router refuses
// that, one by one.
func (r *routing) applyObject(ctx context.Context, steps []step) error {
	err := r.router.Configure(ctx, batch(steps))
	if err == nil {
		for _, s := range steps {
			r.took(s)
		}
		return nil
	}
	if len(steps) == 1 {
		return err
	}
	var errs []error
	for _, s := range steps {
		errs = append(errs, r.applyObject(ctx, []step{s}))
	}
	return errors.Join(errs...)
}

// took notes a step that the router took.
func (r *routing) took(s step) {
	r.applied = slices.DeleteFunc(slices.Clone(r.applied), func(a *setting) bool {
		return a.id() == s.id() || s.undoes && s.root && coveredBy([]*setting{s.setting}, a)
	})
	if !s.undoes {
		r.applied = append(r.applied, s.setting)
	}
}

// A step sets one setting or undoes it.
type step struct {
	*setting
	undoes   bool
	leftover bool // undoes a policy that nothing wanted refers to
}

// line is what is sent, in the context of the setting's path.
func (s step) line() string {
	if s.undoes {
		return s.undoing()
	}
	return s.text
}

// difference is the steps from have to want: first the policies that are new,
// then what goes from BGP and the interfaces, then what comes, and at last the
// policies that nothing refers to any more.
func difference(have, want []*setting) []step {
	had, wanted := index(have), index(want)
	var policies, going, coming, leftovers []step
	var gone []*setting // roots that go
	for _, s := range have {
		if s.root && wanted[s.id()] == nil {
			gone = append(gone, s)
		}
	}
	for _, s := range have {
		if wanted[s.id()] != nil || coveredBy(gone, s) {
			continue
		}
		if s.policy {
			leftovers = append(leftovers, step{setting: s, undoes: true, leftover: true})
		} else {
			going = append(going, step{setting: s, undoes: true})
		}
	}
	for _, s := range want {
		old := had[s.id()]
		if old != nil && old.text == s.text {
			continue
		}
		var steps []step
		if old != nil && s.whole {
			steps = append(steps, step{setting: old, undoes: true})
		}
		steps = append(steps, step{setting: s})
		if s.policy {
			policies = append(policies, steps...)
		} else {
			coming = append(coming, steps...)
		}
	}
	return slices.Concat(policies, byPath(going), byPath(coming), leftovers)
}

// index finds settings by their id.
func index(settings []*setting) map[string]*setting {
	m := make(map[string]*setting, len(settings))
	for _, s := range settings {
		m[s.id()] = s
	}
	return m
}

// coveredBy says whether s goes together with one of the roots.
func coveredBy(roots []*setting, s *setting) bool {
	return slices.ContainsFunc(roots, func(r *setting) bool {
		return r != s && (r.object == s.object || s.path == r.text || strings.HasPrefix(s.path, r.text+"\n"))
	})
}

// byPath brings the steps of one context together, contexts in the order of
// their first step.
func byPath(steps []step) []step {
	first := map[string]int{}
	for i, s := range steps {
		if _, seen := first[s.path]; !seen {
			first[s.path] = i
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return first[a.path] - first[b.path] })
	return steps
}

// batch writes steps as lines of a configuration file.
func batch(steps []step) []string {
	var lines []string
	path := ""
	leave := func() {
		for range strings.Count(path, "\n") + min(len(path), 1) {
			lines = append(lines, "exit")
		}
	}
	for _, s := range steps {
		if s.path != path {
			leave()
			path = s.path
			if path != "" {
				lines = append(lines, strings.Split(path, "\n")...)
			}
		}
		lines = append(lines, strings.Split(s.line(), "\n")...)
	}
	leave()
	return lines
}
