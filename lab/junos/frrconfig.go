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

// routing is what was applied to the router. It is owned by whoever holds the
// device's commit slot.
type routing struct {
	router  Router
	applied []*setting
}

// apply makes the router's configuration the wanted one, touching only what
// differs, and returns the objects that it touched. What the router refuses is
// in the error; the rest is applied.
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
	err = r.router.Configure(ctx, batch(steps))
	if err == nil {
		r.applied = want
		return touched, nil
	}
	// One bad statement must not take the others with it.
	refused := map[string]bool{}
	var errs []error
	for _, object := range touched {
		mine := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.object != object })
		if err := r.router.Configure(ctx, batch(mine)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", object, err))
			refused[object] = true
		}
	}
	r.applied = slices.DeleteFunc(slices.Clone(want), func(s *setting) bool { return refused[s.object] })
	return touched, errors.Join(errs...)
}

// A step is one line to send, in its context.
type step struct {
	object, path, text string
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
			leftovers = append(leftovers, step{s.object, s.path, s.undoing()})
		} else {
			going = append(going, step{s.object, s.path, s.undoing()})
		}
	}
	for _, s := range want {
		old := had[s.id()]
		if old != nil && old.text == s.text {
			continue
		}
		var steps []step
		if old != nil && s.whole {
			steps = append(steps, step{s.object, s.path, old.undoing()})
		}
		steps = append(steps, step{s.object, s.path, s.text})
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
		lines = append(lines, strings.Split(s.text, "\n")...)
	}
	leave()
	return lines
}
