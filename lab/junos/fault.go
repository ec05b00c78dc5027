package junos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A FaultKind is one thing that can go wrong.
type FaultKind string

// The kinds of fault. What is said of text is what Fault.Text means to them.
const (
	// On the connection. FaultDrop and FaultStall let Fault.After bytes of the
	// reply through first.
	FaultDrop    FaultKind = "drop"     // the connection is reset
	FaultStall   FaultKind = "stall"    // nothing more comes, for Delay or until the client goes
	FaultDribble FaultKind = "dribble"  // one byte each Delay
	FaultNoise   FaultKind = "noise"    // text stands before the reply
	FaultHostKey FaultKind = "host-key" // another host key is shown
	FaultLogin   FaultKind = "login"    // authentication fails
	FaultLinger  FaultKind = "linger"   // the device notices the end of a session Delay late; its locks stay

	// On an operation.
	FaultSlow        FaultKind = "slow"         // it takes Delay longer
	FaultResetBefore FaultKind = "reset-before" // the connection is reset, nothing is done
	FaultResetAfter  FaultKind = "reset-after"  // it takes effect, the connection is reset in place of the reply
	FaultError       FaultKind = "error"        // it answers with the error text, and does nothing
	FaultFull        FaultKind = "full"         // there is no room in the database
	FaultRefuse      FaultKind = "refuse"       // statements that contain text are refused, the others are taken

	// On the reply.
	FaultMalformed FaultKind = "malformed" // it is not XML: the first end tag called text is left out, any if text is empty
	FaultTruncate  FaultKind = "truncate"  // the second half of a table is missing
	FaultEmpty     FaultKind = "empty"     // a table has no entries

	FaultCandidate FaultKind = "candidate" // an ephemeral instance is asked for, and the shared candidate is shown

	// Around it, before the operation runs.
	FaultLock   FaultKind = "lock"   // somebody locks every database, for Delay
	FaultDirty  FaultKind = "dirty"  // somebody leaves the set lines of text in the shared candidate
	FaultWriter FaultKind = "writer" // somebody commits the set lines of text
	FaultReboot FaultKind = "reboot" // the device boots: sessions end, ephemeral instances are empty
	FaultClock  FaultKind = "clock"  // the device's clock jumps by Delay
)

// The events, beside the names of operations, that a fault can be put on.
const (
	OnConnect = "connect" // a connection is accepted
	OnHello   = "hello"   // a NETCONF session begins
	OnEnd     = "end"     // a session has ended
)

// A Fault is one thing that goes wrong, at one operation and after.
type Fault struct {
	Kind FaultKind
	// RPC is the local name of the operation that it strikes, or OnConnect,
	// OnHello or OnEnd; several with "|" between them. Empty is what faultDefaults says,
	// "*" any operation.
	RPC string
	// Nth is the first match that it strikes, 1 the next; 0 is 1.
	Nth int
	// Count is how many matches it strikes from there; 0 is 1, below 0 all.
	Count int
	// After is how many bytes of the reply come first.
	After int
	// Delay is how long, for the kinds that take time; 0 is what
	// faultDefaults says.
	Delay time.Duration
	// Chance is the probability to strike a match, drawn from Config.Seed; 0 is 1.
	Chance float64
	// User is who interferes; empty is admin.
	User string
	Text string
}

type faultDefault struct {
	rpc   string
	delay time.Duration
	text  string
}

const commits = "commit-configuration|commit"

// faultDefaults is what is meant when a fault does not say.
var faultDefaults = map[FaultKind]faultDefault{
	FaultDrop:        {rpc: "*"},
	FaultStall:       {rpc: "*"},
	FaultDribble:     {rpc: "*", delay: time.Millisecond},
	FaultNoise:       {rpc: "*", text: "\a\r\n*** Broadcast message from root ***\r\n"},
	FaultHostKey:     {rpc: OnConnect},
	FaultLogin:       {rpc: OnConnect},
	FaultLinger:      {rpc: OnEnd, delay: 45 * time.Second},
	FaultSlow:        {rpc: commits, delay: 30 * time.Second},
	FaultResetBefore: {rpc: commits},
	FaultResetAfter:  {rpc: commits},
	FaultError:       {rpc: commits, text: "remote lock-configuration failed on re1"},
	FaultFull:        {rpc: "load-configuration|edit-config|" + commits, text: "could not allocate memory in database: database size limit exceeded"},
	FaultRefuse:      {rpc: "load-configuration|edit-config"},
	FaultMalformed:   {rpc: "*"},
	FaultTruncate:    {rpc: "get-ipv6-nd-information"},
	FaultEmpty:       {rpc: "get-ipv6-nd-information"},
	FaultCandidate:   {rpc: "command|get-configuration"},
	FaultLock:        {rpc: "*", delay: 5 * time.Minute},
	FaultDirty:       {rpc: "*", text: "set system domain-name half-done.example"},
	FaultWriter:      {rpc: commits, text: "set system domain-name other.example"},
	FaultReboot:      {rpc: "*"},
	FaultClock:       {rpc: "*", delay: time.Hour},
}

// completed checks f and fills what it leaves out.
func (f Fault) completed() (Fault, error) {
	d, known := faultDefaults[f.Kind]
	switch {
	case !known:
		return f, fmt.Errorf("fault %q is unknown: %s are known", f.Kind, strings.Join(faultKinds(), ", "))
	case f.Nth < 0:
		return f, fmt.Errorf("fault %s: nth %d is not allowed: 1 or more", f.Kind, f.Nth)
	case f.After < 0:
		return f, fmt.Errorf("fault %s: after %d is not allowed: 0 or more bytes", f.Kind, f.After)
	case f.Chance < 0 || f.Chance > 1 || f.Chance != f.Chance:
		return f, fmt.Errorf("fault %s: chance %g is not allowed: 0 to 1", f.Kind, f.Chance)
	case f.Kind == FaultRefuse && f.Text == "":
		return f, fmt.Errorf("fault refuse: text is missing: a part of the statements to refuse")
	case f.Delay < 0 && f.Kind != FaultClock:
		return f, fmt.Errorf("fault %s: delay %s is not allowed: 0 or more", f.Kind, f.Delay)
	}
	if strings.ContainsAny(f.RPC+f.User, " \t\r\n\"=") {
		return f, fmt.Errorf("fault %s: rpc %q and user %q must be single words", f.Kind, f.RPC, f.User)
	}
	if f.RPC == "" {
		f.RPC = d.rpc
	}
	if f.Delay == 0 {
		f.Delay = d.delay
	}
	if f.Text == "" {
		f.Text = d.text
	}
	if f.User == "" {
		f.User = "admin"
	}
	f.Nth, f.Count = max(f.Nth, 1), max(f.Count, -1)
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Chance == 0 {
		f.Chance = 1
	}
	return f, nil
}

func faultKinds() []string {
	var names []string
	for kind := range faultDefaults {
		names = append(names, string(kind))
	}
	slices.Sort(names)
	return names
}

// matches says whether the operation is one that f is put on. "*" does not
// include the events that are no operations.
func (f *Fault) matches(operation string) bool {
	if f.RPC == "*" {
		return operation != OnConnect && operation != OnHello && operation != OnEnd
	}
	return slices.Contains(strings.Split(f.RPC, "|"), operation)
}

// ParseFault reads the text form of a fault: its kind, then any of rpc=NAME,
// nth=N, count=N (or count=all), after=BYTES, delay=DURATION, chance=P,
// user=NAME, text=WORD or text="several words", with Go's escapes:
//
//	reset-after rpc=commit-configuration nth=2
//	refuse text="neighbor fe80::2" count=all
func ParseFault(text string) (Fault, error) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	f := Fault{Kind: FaultKind(kind)}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		key, value, found := strings.Cut(rest, "=")
		if !found {
			return f, fmt.Errorf("fault %q: %q is not KEY=VALUE", text, rest)
		}
		if strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				return f, fmt.Errorf("fault %q: %s: missing closing quote", text, key)
			}
			rest = value[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return f, fmt.Errorf("fault %q: %s: %w", text, key, err)
			}
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		if err := f.put(key, value); err != nil {
			return f, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f.completed()
}

// put sets one field from its text.
func (f *Fault) put(key, value string) (err error) {
	switch key {
	case "rpc":
		f.RPC = value
	case "nth":
		f.Nth, err = strconv.Atoi(value)
	case "count":
		if value == "all" {
			value = "-1"
		}
		f.Count, err = strconv.Atoi(value)
	case "after":
		f.After, err = strconv.Atoi(value)
	case "delay":
		f.Delay, err = time.ParseDuration(value)
	case "chance":
		f.Chance, err = strconv.ParseFloat(value, 64)
	case "user":
		f.User = value
	case "text":
		f.Text = value
	default:
		return fmt.Errorf("key %q is unknown: rpc, nth, count, after, delay, chance, user and text are known", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%q: %w", key, value, err)
	}
	return nil
}

// String is the text form, without what is as faultDefaults has it.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	d := faultDefaults[f.Kind]
	add := func(say bool, key, value string) {
		if say {
			b.WriteString(" " + key + "=" + value)
		}
	}
	add(f.RPC != "" && f.RPC != d.rpc, "rpc", f.RPC)
	add(f.Nth > 1, "nth", strconv.Itoa(f.Nth))
	add(f.Count > 1, "count", strconv.Itoa(f.Count))
	add(f.Count < 0, "count", "all")
	add(f.After > 0, "after", strconv.Itoa(f.After))
	add(f.Delay != 0 && f.Delay != d.delay, "delay", f.Delay.String())
	add(f.Chance != 0 && f.Chance != 1, "chance", strconv.FormatFloat(f.Chance, 'g', -1, 64))
	add(f.User != "" && f.User != "admin", "user", f.User)
	add(f.Text != "" && f.Text != d.text, "text", strconv.Quote(f.Text))
	return b.String()
}
