package junos

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Edit is another content for a stanza that is there.
type Edit struct{ From, To Stanza }

// Gentle is the part of the edit that a session lives through: the description, and what is
// accepted.
func (e Edit) Gentle() Edit {
	to := e.From
	to.Description, to.Import = e.To.Description, e.To.Import
	to.odd = strings.TrimSuffix(to.odd, oddImport)
	return Edit{From: e.From, To: to}
}

// known is the stanza as it is to be, without what stays as it was read and is not written.
func (e Edit) known() Stanza {
	to := e.To
	if to.odd != "" && strings.HasPrefix(e.From.odd, to.odd) {
		to.odd = ""
	}
	if to.Secret == e.From.Secret && to.Secret.hidden {
		to.Secret = Secret{}
	}
	return to
}

// Change is what one commit does. Every part of it names single neighbours: there is no change of
// a group.
type Change struct {
	Add, Remove []Stanza
	Edit        []Edit
	// From is what the database held when the change was planned. A database that holds
	// anything else by the time of the commit refuses it with ErrChanged.
	From []Stanza
	// EndSessions says that sessions may be up that the change ends: an operator wants that.
	// Without it such a change is refused with ErrChanged.
	EndSessions bool
	// Label is unlike that of any other change: a commit log has it.
	Label string
}

// Stanzas is what the change adds, removes and edits, each as it is to be or was.
func (change Change) Stanzas() []Stanza {
	all := slices.Concat(change.Add, change.Remove)
	for _, e := range change.Edit {
		all = append(all, e.To)
	}
	return all
}

// Validate checks each stanza and that no place is changed twice.
func (change Change) Validate() error {
	if err := change.validateOnce(); err != nil {
		return err
	}
	for _, s := range change.Add {
		if err := s.Validate(); err != nil {
			return &StanzaError{s, err}
		}
	}
	for _, e := range change.Edit {
		if err := e.known().Validate(); err != nil {
			return &StanzaError{e.To, err}
		}
		if e.From.Place() != e.To.Place() {
			return &StanzaError{e.To, fmt.Errorf("stanza %s: an edit must not move it", e.To.name())}
		}
	}
	return nil
}

// validateOnce makes sure that no place and no policy is changed twice. Two stanzas of one peer have the same policy.
func (change Change) validateOnce() error {
	seen, policies := map[Place]bool{}, map[string]bool{}
	for _, s := range change.Stanzas() {
		place, policy := s.Place(), s.PolicyName()
		if seen[place] || s.Import.own && policies[policy] {
			return &StanzaError{s, fmt.Errorf("stanza %s: group %s is to be changed twice for it", s.name(), s.Group)}
		}
		seen[place] = true
		policies[policy] = policies[policy] || s.Import.own
	}
	for _, e := range change.Edit {
		policies[e.To.PolicyName()] = policies[e.To.PolicyName()] || e.From.Import.own
	}
	for _, s := range change.From {
		if !seen[s.Place()] && s.Import.own && policies[s.PolicyName()] && change.drops(s.PolicyName()) {
			return &StanzaError{change.user(s.PolicyName()), fmt.Errorf("stanza %s: its policy is that of %s too", s.Peer, s.name())}
		}
	}
	return nil
}

// drops says whether the change takes a policy away.
func (change Change) drops(policy string) bool {
	return slices.ContainsFunc(change.Remove, func(s Stanza) bool { return s.Import.own && s.PolicyName() == policy }) ||
		slices.ContainsFunc(change.Edit, func(e Edit) bool { return e.From.Import.own && !e.To.Import.own && e.To.PolicyName() == policy })
}

// user is the stanza of the change that has a policy.
func (change Change) user(policy string) Stanza {
	all := change.Stanzas()
	return all[slices.IndexFunc(all, func(s Stanza) bool { return s.PolicyName() == policy })]
}

// StanzaError is an error of one stanza of a change: the others are as good as they were.
type StanzaError struct {
	Stanza Stanza
	err    error
}

// Error names the stanza.
func (e *StanzaError) Error() string { return e.err.Error() }

// Unwrap is why.
func (e *StanzaError) Unwrap() error { return e.err }

// Command is one set or delete command of Junos about one neighbour, or about its policy.
type Command struct {
	Stanza Stanza // whose
	Delete bool
	words  string // what is set or deleted
	keeps  bool
}

// String is the command as it would be typed, but for keys.
func (c Command) String() string {
	if c.Delete {
		return "delete " + c.words
	}
	return "set " + c.words
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
		all = append(all, Command{Stanza: s, Delete: true, words: s.typed()})
		all = append(all, s.dropPolicy()...)
	}
	for _, e := range change.Edit {
		gone, put := e.diff()
		if e.From.Import != e.To.Import {
			all = append(all, e.From.dropPolicy()...)
			all = append(all, e.To.setPolicy()...)
		}
		for _, st := range gone {
			all = append(all, Command{Stanza: e.To, Delete: true, words: e.To.typed() + " " + st.typed(), keeps: st.keepsSession()})
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

func (s Stanza) set(st statement) Command {
	words := s.typed() + " " + st.typed()
	if !st.flag {
		words += " " + quote(st.shown())
	}
	return Command{Stanza: s, words: words, keeps: st.keepsSession()}
}

func (s Stanza) setPolicy() (all []Command) {
	for _, n := range s.policy() {
		for _, line := range n.typed("policy-options") {
			all = append(all, Command{Stanza: s, words: line, keeps: true})
		}
	}
	return all
}

func (s Stanza) dropPolicy() (all []Command) {
	for _, n := range s.policy() {
		all = append(all, Command{Stanza: s, Delete: true, words: "policy-options " + n.name + " " + n.key, keeps: true})
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

// Load is how a change is written for the switch.
type Load string

// The ways to load, which differ in what releases take them and in what becomes of statements in
// an edited stanza that nobody knows about.
const (
	LoadMerge   Load = "merge"   // every release: what is missing is merged, what is too much deleted
	LoadReplace Load = "replace" // 18.1R1: an edited stanza is replaced as a whole
	LoadUpdate  Load = "update"  // 21.1R1: all that the database is to hold; only for one that is the agent's own
)

// load is the change as <load-configuration>.
func (change Change) load(how Load) (string, error) {
	if err := change.Validate(); err != nil {
		return "", err
	}
	if how == LoadUpdate {
		whole := change.result()
		// Without stanzas there is nothing to send but deletes, and what may not be seen cannot be sent.
		if len(whole) > 0 && !slices.ContainsFunc(whole, func(s Stanza) bool { return s.Secret.hidden }) {
			return Change{Add: whole}.render(LoadUpdate)
		}
		how = LoadReplace
	}
	return change.render(how)
}

func (change Change) render(how Load) (string, error) {
	load := &element{XMLName: xml.Name{Local: "load-configuration"}}
	load.attr("action", string(how))
	load.attr("format", "xml")
	r := renderer{how: how, config: load.add("configuration", ""), groups: map[string]*element{}}
	for _, s := range change.policies() {
		r.policy(s)
	}
	for _, s := range change.Remove {
		r.neighbor(s).attr("delete", "delete")
	}
	for _, e := range change.Edit {
		r.edit(e)
	}
	for _, s := range change.Add {
		n := r.neighbor(s)
		for _, st := range s.statements() {
			n.put(st)
		}
	}
	for _, s := range change.Remove {
		r.dropPolicy(s)
	}
	for _, e := range change.Edit {
		if !e.To.Import.own {
			r.dropPolicy(e.From)
		}
	}
	body, err := xml.Marshal(load)
	return string(body), err
}

// policies is the stanzas whose policies are written.
func (change Change) policies() []Stanza {
	all := slices.Clone(change.Add)
	for _, e := range change.Edit {
		if e.From.Import != e.To.Import {
			all = append(all, e.To)
		}
	}
	return all
}

// renderer writes a change. Policies come before the neighbours that use them, and go after.
type renderer struct {
	how    Load
	config *element
	groups map[string]*element
}

func (r renderer) neighbor(s Stanza) *element {
	if r.groups[s.Group] == nil {
		r.groups[s.Group] = r.config.at("protocols", "bgp").add("group", "")
		r.groups[s.Group].add("name", s.Group)
	}
	n := r.groups[s.Group].add("neighbor", "")
	n.add("name", s.name())
	return n
}

// edit writes an edit. A neighbor whose key may not be seen is not replaced: the key would be gone.
func (r renderer) edit(e Edit) {
	n := r.neighbor(e.To)
	gone, _ := e.diff()
	if r.how == LoadReplace && !e.To.Secret.hidden {
		n.attr("replace", "replace")
		gone = nil
	}
	for _, st := range gone {
		path := strings.Fields(st.path)
		last := len(path) - 1
		n.at(path[:last]...).add(path[last], "").attr("delete", "delete")
	}
	for _, st := range e.To.statements() {
		if !st.secret.hidden {
			n.put(st)
		}
	}
}

// policy writes a stanza's own policy in the place of whatever has its name.
func (r renderer) policy(s Stanza) {
	for _, n := range s.policy() {
		if r.how == LoadMerge {
			n.bare(r.config.at("policy-options")).attr("delete", "delete")
		}
		e := n.into(r.config.at("policy-options"))
		if r.how == LoadReplace {
			e.attr("replace", "replace")
		}
	}
}

func (r renderer) dropPolicy(s Stanza) {
	for _, n := range s.policy() {
		n.bare(r.config.at("policy-options")).attr("delete", "delete")
	}
}

// result is what the database holds after the change.
func (change Change) result() (all []Stanza) {
	gone := map[Place]bool{}
	for _, s := range change.Remove {
		gone[s.Place()] = true
	}
	edited := map[Place]Stanza{}
	for _, e := range change.Edit {
		edited[e.To.Place()] = e.To
	}
	for _, s := range change.From {
		if to, ok := edited[s.Place()]; ok {
			s = to
		}
		if !gone[s.Place()] {
			all = append(all, s)
		}
	}
	return append(all, change.Add...)
}
