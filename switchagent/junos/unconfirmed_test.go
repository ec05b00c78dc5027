package junos

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnconfirmed: the replies are in the form that was recorded on 24.4R2 and, without commit-confirmed,
// on older releases.
func TestUnconfirmed(t *testing.T) {
	const at = 1_791_237_823
	entry := func(rest string) string {
		return fmt.Sprintf(`<commit-information><commit-history><sequence-number>0</sequence-number><user>netops</user><client>netconf</client>`+
			`<date-time junos:seconds="%d">2026-10-05 22:03:43 UTC</date-time>%s</commit-history>`+
			`<commit-history><sequence-number>1</sequence-number><user>root</user><comment>commit confirmed, rollback in 60mins</comment></commit-history></commit-information>`, at, rest)
	}
	const waits, says = `<commit-confirmed>rollback pending</commit-confirmed>`, `<comment>commit confirmed, rollback in 5mins</comment>`
	clock := func(after int) string {
		return fmt.Sprintf(`<system-uptime-information><current-time><date-time junos:seconds="%d">x</date-time></current-time></system-uptime-information>`, at+after)
	}
	for name, tt := range map[string]struct {
		commits, clock string
		want           string // in the error; "" for none
	}{
		"no commit confirmed":            {entry(`<log>change 7</log>`), "lost", ""},
		"no commits":                     {`<commit-information/>`, "lost", ""},
		"it waits":                       {entry(says + `<log>change 7</log>` + waits), "lost", `that of netops, "commit confirmed, rollback in 5mins change 7"`},
		"it waits, whatever the time":    {entry(says + waits), clock(1e6), "that of netops"},
		"older release, within":          {entry(says), clock(100), "takes it back within 4m20s"},
		"older release, being taken":     {entry(says), clock(301), "within 59s"},
		"older release, over":            {entry(says), clock(361), ""},
		"time is not told":               {entry(says), `<system-uptime-information/>`, "that of netops"},
		"time may not be read":           {entry(says), refusal, "that of netops"},
		"in other words":                 {entry(`<comment>commit confirmed, rollback in 9m30s</comment>`), clock(1e6), "9m30s"},
		"ours, on a release that is shy": {entry(`<log>lastmile: to be confirmed within 5 minutes: 1 added (x)</log>`), clock(1), "within 5m59s"},
		"it cannot be read":              {refusal, "lost", "reading the log of commits"},
	} {
		d := &device{t: t, replies: map[string][]string{"get-commit-information": {tt.commits}, "get-system-uptime-information": {tt.clock}}}
		err := d.client().Unconfirmed(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if tt.want != "" && tt.commits != refusal && !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("%s: %v is not ErrUnconfirmed", name, err)
		}
	}
}

// TestUnconfirmedIsOverAtSomeTime: a commit that nothing waits for any more holds up nobody for longer than its time, though
// the switch's clock was set back or cannot be read.
func TestUnconfirmedIsOverAtSomeTime(t *testing.T) {
	entry := func(log string) string {
		return `<commit-information><commit-history><user>netops</user><date-time junos:seconds="1791237823">x</date-time><comment>commit confirmed, rollback in 5mins</comment><log>` + log + `</log></commit-history></commit-information>`
	}
	for name, clock := range map[string]string{
		"set back":   `<system-uptime-information><current-time><date-time junos:seconds="1791230000">x</date-time></current-time></system-uptime-information>`,
		"not told":   `<system-uptime-information/>`,
		"not to see": refusal,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &device{t: t, replies: map[string][]string{
					"get-commit-information":        {entry("1"), entry("1"), entry("2"), entry("2"), entry("2")},
					"get-system-uptime-information": {clock},
				}}
				c := d.client()
				for i, waits := range []bool{true, true, true, true, false} {
					if err := c.Unconfirmed(t.Context()); (err != nil) != waits || waits && !errors.Is(err, ErrUnconfirmed) {
						t.Errorf("look %d: %v", i, err)
					}
					time.Sleep(3*time.Minute + time.Second)
				}
			})
		})
	}
}

// TestNothingIsCommittedWhileSomebodysWaits: neither a change nor lines, nor a confirmation of our own after
// somebody was faster.
func TestNothingIsCommittedWhileSomebodysWaits(t *testing.T) {
	waiting := `<commit-information><commit-history><user>admin</user><comment>commit confirmed, rollback in 5mins</comment><commit-confirmed>rollback pending</commit-confirmed></commit-history></commit-information>`
	mine := func(log string) string {
		return `<commit-information><commit-history><user>switchagent</user><log>` + log + `</log></commit-history></commit-information>`
	}
	add := Change{Add: []Stanza{more}, Label: "7"}
	o := Options{Window: 5 * 60e9}
	trial := mine(escape((&shared{database: database{Options: o}}).trialLog(add)))
	for name, tt := range map[string]struct {
		commits []string
		do      func(*Client) (Outcome, error)
	}{
		"lines":                           {[]string{waiting}, func(c *Client) (Outcome, error) { return c.CommitLines(t.Context(), []string{"set x"}, "") }},
		"lines, it came meanwhile":        {[]string{mine(""), waiting}, func(c *Client) (Outcome, error) { return c.CommitLines(t.Context(), []string{"set x"}, "") }},
		"private":                         {[]string{waiting}, func(c *Client) (Outcome, error) { return of(c, Options{Kind: Private}).Commit(t.Context(), add) }},
		"private, it came meanwhile":      {[]string{mine(""), waiting}, func(c *Client) (Outcome, error) { return of(c, Options{Kind: Private}).Commit(t.Context(), add) }},
		"shared":                          {[]string{waiting}, func(c *Client) (Outcome, error) { return of(c, Options{Kind: Shared}).Commit(t.Context(), add) }},
		"shared, it came before the lock": {[]string{mine(""), waiting}, func(c *Client) (Outcome, error) { return of(c, Options{Kind: Shared}).Commit(t.Context(), add) }},
		"confirm": {[]string{waiting}, func(c *Client) (Outcome, error) {
			return of(c, Options{Kind: Shared, Window: o.Window}).(Confirmer).Confirm(t.Context(), add, true)
		}},
		"confirm, it came before the lock": {[]string{trial, waiting}, func(c *Client) (Outcome, error) {
			return of(c, Options{Kind: Shared, Window: o.Window}).(Confirmer).Confirm(t.Context(), add, true)
		}},
	} {
		d := &device{t: t, replies: map[string][]string{
			"get-commit-information": tt.commits, "open-configuration": {""}, "load-configuration": {"<ok/>"}, "lock-configuration": {"<ok/>"},
			"discard-changes": {"<ok/>"}, "unlock-configuration": {"<ok/>"}, "close-configuration": {""}, "get-configuration": {"<configuration/>"},
		}}
		outcome, err := tt.do(d.client())
		if outcome != Refused || !errors.Is(err, ErrUnconfirmed) && !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %s, %v", name, outcome, err)
		}
		for _, asked := range d.asked {
			if strings.HasPrefix(asked, "<commit-configuration") {
				t.Errorf("%s: sent %s", name, asked)
			}
		}
		locked, unlocked := 0, 0
		for _, asked := range d.asked {
			locked += strings.Count(asked, "<lock-configuration/>") + strings.Count(asked, "<open-configuration>")
			unlocked += strings.Count(asked, "<unlock-configuration/>") + strings.Count(asked, "<close-configuration/>")
		}
		if locked != unlocked {
			t.Errorf("%s: %d locks, %d given back: %q", name, locked, unlocked, d.asked)
		}
	}
}
