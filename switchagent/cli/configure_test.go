package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	wanted    = "set system host-name leaf9"
	committed = `commit comment "lastmile 'test'"`
	newest    = "show system commit | no-more"
	again     = "run " + newest
	change    = "[edit system]\n-  host-name leaf1;\n+  host-name leaf9;\n"
)

// commits is in the form that was recorded.
const commits = "0   2026-10-05 22:03:43 UTC by jane via cli commit confirmed, rollback in 5mins\n    change 7\n1   2026-10-05 21:00:00 UTC by root via other\n"

const waiting = "0   2026-10-05 22:03:43 UTC by jane via cli commit confirmed, rollback in 5mins\n    change 7\n    rollback pending\n1   2026-10-05 21:00:00 UTC by root via other\n"

// configurations is what a switch answers, and what is typed between entering configuration mode and leaving it.
var configurations = map[string]struct {
	chassis string
	answers map[string]func(*terminal)
	typed   []string // between entering configuration mode and leaving it
	diff    string
	err     string
}{
	"committed": {
		answers: map[string]func(*terminal){"show | compare": say(change)},
		typed:   []string{wanted, "show | compare", again, committed}, diff: strings.TrimSpace(change),
	},
	"committed at the top, with a chassis": {
		chassis: "{master:0}", answers: map[string]func(*terminal){"show | compare": say("[edit]\n+  system;\n")},
		typed: []string{wanted, "show | compare", again, committed}, diff: "[edit]\n+  system;",
	},
	"committed at the top": {
		answers: map[string]func(*terminal){"show | compare": say("[edit]\n+  system;\n")},
		typed:   []string{wanted, "show | compare", again, committed}, diff: "[edit]\n+  system;",
	},
	"there already": {typed: []string{wanted, "show | compare", "rollback 0"}},
	"there already, with a chassis": {
		chassis: "{master:0}", typed: []string{wanted, "show | compare", "rollback 0"},
	},
	"a line is refused": {
		answers: map[string]func(*terminal){wanted: say("                   ^\nsyntax error.\n")},
		typed:   []string{wanted, "rollback 0"}, err: `"` + wanted + `": ^ syntax error.`,
	},
	"the commit is refused": {
		answers: map[string]func(*terminal){
			"show | compare": say(change), committed: say("error: commit failed: (statements constraint check failed)\n"),
		},
		typed: []string{wanted, "show | compare", again, committed, "rollback 0"}, err: "statements constraint check failed",
	},
	"somebody commits meanwhile": {
		answers: map[string]func(*terminal){
			"show | compare": say(change), newest: say(commits), again: say("0   2026-10-05 22:05:00 UTC by jane via cli\n1   2026-10-05 22:03:43 UTC by jane via cli\n"),
		},
		typed: []string{wanted, "show | compare", again, "rollback 0"}, err: "somebody has committed meanwhile: 0   2026-10-05 22:05:00 UTC by jane via cli",
	},
	"an earlier one was confirmed": {
		answers: map[string]func(*terminal){
			"show | compare": say(change), newest: say(commits), again: say(commits),
		},
		typed: []string{wanted, "show | compare", again, committed}, diff: strings.TrimSpace(change),
	},
	"the commit says nothing of success": {
		answers: map[string]func(*terminal){"show | compare": say(change), committed: say("re0:\n")},
		typed:   []string{wanted, "show | compare", again, committed, "rollback 0"}, err: `"commit": re0:`,
	},
}

// TestConfigure: what is typed is a private copy from its beginning to its end, and what was not committed
// does not stay.
func TestConfigure(t *testing.T) {
	for name, test := range configurations {
		t.Run(name, func(t *testing.T) {
			switched := &junos{chassis: test.chassis, answers: test.answers}
			shell := dial(t, switched.script)
			diff, err := shell.Configure(bounded(t, 30*time.Second), []string{wanted}, `lastmile "test"`)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if got := strings.ReplaceAll(diff, "\r", ""); got != test.diff {
				t.Errorf("difference %q, want %q", got, test.diff)
			}
			typed := append(append([]string{newest, "configure private"}, test.typed...), "exit configuration-mode")
			if diff := cmp.Diff(typed, switched.lines()); diff != "" {
				t.Errorf("typed (-want +got):\n%s", diff)
			}
			if shell.Err() != nil {
				t.Errorf("the shell is of no use: %v", shell.Err())
			}
		})
	}
}

// TestConfigureInAForeignHand: whoever holds the configuration is named, and nothing is typed into it.
func TestConfigureInAForeignHand(t *testing.T) {
	switched := &junos{answers: map[string]func(*terminal){
		"configure private": say("error: configuration database locked by:\n  jane terminal p0 (pid 4711)\n"),
	}}
	shell := dial(t, switched.script)
	_, err := shell.Configure(bounded(t, 30*time.Second), []string{wanted}, "test")
	if err == nil || !strings.Contains(err.Error(), "configure private") {
		t.Errorf("got %v", err)
	}
	for _, line := range switched.lines() {
		if strings.HasPrefix(line, "set ") || strings.HasPrefix(line, "commit") {
			t.Errorf("typed %q", line)
		}
	}
}

// TestConfigureBesideAnUnconfirmedCommit: a commit would confirm somebody's, so nothing is typed.
func TestConfigureBesideAnUnconfirmedCommit(t *testing.T) {
	switched := &junos{answers: map[string]func(*terminal){newest: say(waiting)}}
	shell := dial(t, switched.script)
	_, err := shell.Configure(bounded(t, 30*time.Second), []string{wanted}, "test")
	if err == nil || !strings.Contains(err.Error(), "by jane via cli commit confirmed, rollback in 5mins change 7 rollback pending") || shell.Err() != nil {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{newest}, switched.lines()); diff != "" {
		t.Errorf("typed (-want +got):\n%s", diff)
	}
}
