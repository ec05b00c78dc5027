package junos

import (
	"slices"
	"strings"
)

// Command is one set or delete command of Junos about one neighbour, or about its policy. A change is
// its commands: they are what is proved and shown, and what is sent is written from them, see render.
type Command struct {
	Stanza Stanza // whose
	Delete bool
	way    []hop  // from the top of the configuration
	value  string // of the last on the way, if it has one
	secret Secret
	keeps  bool
}

// hop is one element on the way to a statement.
type hop struct {
	name         string
	keyName, key string // of an entry in a list
	silent       bool   // its name is not typed
}

// String is the command as it would be typed, but for keys.
func (c Command) String() string {
	words := []string{"set"}
	if c.Delete {
		words[0] = "delete"
	}
	for _, h := range c.way {
		if !h.silent {
			words = append(words, h.name)
		}
		if h.key != "" {
			words = append(words, h.key)
		}
	}
	if shown := c.secret.String() + c.value; shown != "" {
		words = append(words, quote(shown))
	}
	return strings.Join(words, " ")
}

// KeepsSession says whether a session with the neighbour lives through the command.
func (c Command) KeepsSession() bool { return c.keeps }

// quote puts what is more than a word between quotation marks.
func quote(value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\"\\;{}[]#&|<>()'") {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// Commands is the change as Junos commands, in the order in which they are typed.
func (change Change) Commands() (all []Command) {
	for _, s := range change.Remove {
		all = append(all, Command{Stanza: s, Delete: true, way: s.way()})
		all = append(all, s.dropPolicy(nil)...)
	}
	for _, e := range change.Edit {
		gone, put := e.diff()
		if e.From.Import != e.To.Import {
			all = append(all, e.From.dropPolicy(e.To.policy())...)
			all = append(all, e.To.setPolicy()...)
		}
		for _, st := range gone {
			all = append(all, Command{Stanza: e.To, Delete: true, way: e.To.way(st.hops()...), keeps: st.keepsSession()})
		}
		for _, st := range put {
			all = append(all, e.To.set(st))
		}
	}
	for _, s := range change.Add {
		all = append(all, s.setPolicy()...)
		for _, st := range s.statements() {
			all = append(all, s.set(st))
		}
	}
	return all
}

// way is the way to the neighbor, and on below it.
func (s Stanza) way(below ...hop) []hop {
	return append([]hop{
		{name: "protocols"}, {name: "bgp"}, {name: "group", keyName: "name", key: s.Group}, {name: "neighbor", keyName: "name", key: s.name()},
	}, below...)
}

func (s Stanza) set(st statement) Command {
	return Command{Stanza: s, way: s.way(st.hops()...), value: st.value, secret: st.secret, keeps: st.keepsSession()}
}

// setPolicy puts the stanza's policy in the place of whatever has its name.
func (s Stanza) setPolicy() (all []Command) {
	top := []hop{{name: "policy-options"}}
	for _, n := range s.policy() {
		all = append(all, Command{Stanza: s, Delete: true, way: append(slices.Clone(top), n.hop()), keeps: true})
		for _, c := range n.commands(top) {
			c.Stanza, c.keeps = s, true
			all = append(all, c)
		}
	}
	return all
}

// dropPolicy takes the stanza's policy away, but for what comes anew.
func (s Stanza) dropPolicy(anew []node) (all []Command) {
	for _, n := range s.policy() {
		if !slices.ContainsFunc(anew, func(other node) bool { return other.hop() == n.hop() }) {
			all = append(all, Command{Stanza: s, Delete: true, way: []hop{{name: "policy-options"}, n.hop()}, keeps: true})
		}
	}
	return all
}

// diff is the statements of the neighbor that go, whose values are of no interest, and those that come.
func (e Edit) diff() (gone, put []statement) {
	from := e.From
	if from.Secret.same(e.To.Secret) {
		from.Secret = e.To.Secret
	}
	old, wanted := from.statements(), e.To.statements()
	of := func(all []statement, top string) (part []statement) {
		for _, st := range all {
			if st.top() == top {
				part = append(part, st)
			}
		}
		return part
	}
	anew := map[string]bool{} // lists and containers that are not edited but made anew
	for _, top := range []string{"import", "family"} {
		odd := strings.Contains(from.odd, top) && !strings.Contains(e.To.odd, top) && (top == "family" || from.Import.own || e.To.Import.own)
		if anew[top] = odd || !slices.Equal(of(old, top), of(wanted, top)); anew[top] && (odd || len(of(old, top)) > 0) {
			gone = append(gone, statement{path: top})
		}
	}
	for _, st := range old {
		same := func(w statement) bool { return w.path == st.path }
		if !anew[st.top()] && !slices.ContainsFunc(wanted, same) {
			gone = append(gone, st)
		}
	}
	for _, st := range wanted {
		if anew[st.top()] || !slices.Contains(old, st) {
			put = append(put, st)
		}
	}
	return gone, put
}
