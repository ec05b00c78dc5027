package cli_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/switchagent/cli"
)

// TestPrompts: the prompt is found whatever stands above it, and is no part of what is returned.
func TestPrompts(t *testing.T) {
	const version = "Hostname: leaf1\nModel: qfx5120-48y-8c\nJunos: 21.4R3.15"
	for name, switched := range map[string]*junos{
		"nothing":     {},
		"a banner":    {banner: "--- JUNOS 21.4R3.15 Kernel 64-bit  JNPR-12.1\n"},
		"a warning":   {banner: "**** No access for anybody ****\nCosts > 100 $ # are borne by you\nLast login: Mon Jan 1 from > there\n"},
		"the chassis": {chassis: "{master:0}"},
		"both":        {banner: "--- JUNOS 21.4R3.15 Kernel 64-bit\n", chassis: "{master:0}"},
	} {
		t.Run(name, func(t *testing.T) {
			switched.answers = map[string]func(*terminal){"show version": say("%s\n", version)}
			shell := dial(t, switched.script)
			for range 2 {
				out, err := shell.Run(bounded(t, 20*time.Second), "show version")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(version, out); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestWhatLooksLikeAPrompt: what a leaf's configuration may hold is no prompt, wherever a packet ends.
func TestWhatLooksLikeAPrompt(t *testing.T) {
	lines := []string{
		`set system login message 100%`,
		`set system root-authentication encrypted-password "$6$`, `Ab$cdef"`,
		`set system login user a authentication ssh-rsa "ssh-rsa AAAA root@leaf1"`,
		`set interfaces ge-0/0/1 description a$`,
		`set interfaces ge-0/0/2 description leaf2#`,
		`</configuration>`,
		`set system host-name leaf1`,
	}
	switched := &junos{answers: map[string]func(*terminal){"show configuration": func(p *terminal) {
		for _, line := range lines {
			p.print(line)
			time.Sleep(20 * time.Millisecond) // so that the packet ends here
			p.print("\n")
		}
	}}}
	out, err := dial(t, switched.script).Run(bounded(t, 20*time.Second), "show configuration")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines, strings.Split(out, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRefusals: what the switch complains of is an error with its words, and the shell stays of use.
func TestRefusals(t *testing.T) {
	switched := &junos{answers: map[string]func(*terminal){
		"show nonsense":  say("               ^\nsyntax error, expecting <command>.\n"),
		"frobnicate":     say("^\nunknown command.\n"),
		"show ipv6":      say("error: permission denied: ipv6\n"),
		"show version s": say("'s' is ambiguous.\n"),
		"show version":   say("warning: unsupported\nJunos: 21.4R3.15\n"),
	}}
	shell := dial(t, switched.script)
	for command, want := range map[string]string{
		"show nonsense": "syntax error", "frobnicate": "unknown command", "show ipv6": "permission denied",
	} {
		_, err := shell.Run(bounded(t, 20*time.Second), command)
		refused, ok := errors.AsType[*cli.CommandError](err)
		if !ok || refused.Command != command || !strings.Contains(refused.Said, want) || shell.Err() != nil {
			t.Errorf("%s: %v, and the shell %v", command, err, shell.Err())
		}
	}
	if out, err := shell.Run(bounded(t, 20*time.Second), "show version"); err != nil || !strings.Contains(out, "21.4R3.15") {
		t.Errorf("a warning: %q, %v", out, err)
	}
}

// TestWhatIsNotTyped: a command is one line, whatever text it was made of.
func TestWhatIsNotTyped(t *testing.T) {
	switched := &junos{}
	shell := dial(t, switched.script)
	for _, bad := range []string{"show version\nrequest system reboot", "show version\rfile delete x", "show ?", "show \x03", "show \x1b[A", "show \x7f"} {
		if _, err := shell.Run(t.Context(), bad); err == nil {
			t.Errorf("%q was run", bad)
		}
		for _, lines := range [][]string{{bad}, {"set system host-name x", bad}} {
			if _, err := shell.Configure(t.Context(), lines, "test"); err == nil {
				t.Errorf("%q was committed", lines)
			}
		}
		if _, err := shell.Configure(t.Context(), nil, bad); err == nil {
			t.Errorf("%q was a comment", bad)
		}
	}
	if lines := switched.lines(); len(lines) > 0 || shell.Err() != nil {
		t.Errorf("typed %q; the shell %v", lines, shell.Err())
	}
}

// TestLongLine: a line longer than a terminal is wide is typed and answered whole.
func TestLongLine(t *testing.T) {
	long := `set policy-options as-path lastmile-x "` + strings.Repeat("4200000101 ", 200) + `"`
	switched := &junos{answers: map[string]func(*terminal){"show | compare": say("[edit]\n+  x;\n")}}
	shell := dial(t, switched.script)
	if _, err := shell.Configure(bounded(t, 30*time.Second), []string{long}, "test"); err != nil {
		t.Fatal(err)
	}
	if lines := switched.lines(); len(lines) < 3 || lines[2] != long {
		t.Errorf("typed %q", lines)
	}
}

// A switch that ends no answer, at any point, costs its caller the time it gave and no more.
func TestHostileSwitches(t *testing.T) {
	silent := func(p *terminal) { p.line(); p.line(); p.line() }
	endless := func(p *terminal) {
		for line := strings.Repeat("x", 4000) + "\r\n"; ; {
			if _, err := p.out.Write([]byte(line)); err != nil {
				return
			}
		}
	}
	for name, test := range map[string]struct {
		login func(*terminal) // in place of a command line
		show  func(*terminal) // in place of an answer
		want  string
	}{
		"no prompt at login":      {login: silent},
		"a password is asked":     {login: func(p *terminal) { p.print("Password: "); silent(p) }},
		"endless banner":          {login: endless},
		"cut at login":            {login: func(p *terminal) { p.print("--- JUNOS"); p.hangUp() }, want: "terminal: "},
		"closed at login":         {login: func(*terminal) {}, want: "terminal: "},
		"no answer":               {show: silent},
		"answer without a prompt": {show: func(p *terminal) { p.print("Junos: 21.4R3.15\n"); silent(p) }},
		"a pager":                 {show: func(p *terminal) { p.print(strings.Repeat("a line\n", 24) + "---(more)---"); silent(p) }},
		"endless answer":          {show: endless},
		"cut in an answer":        {show: func(p *terminal) { p.print("Junos: 21"); p.hangUp() }, want: "terminal: "},
		"the prompt of a shell":   {show: func(p *terminal) { p.print("\n% "); silent(p) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectEnd(t, test.login, test.show, test.want)
		})
	}
}

// expectEnd wants the login, or the command in it, to end with an error that says so.
func expectEnd(t *testing.T, login, show func(*terminal), want string) {
	script := login
	if show != nil {
		script = (&junos{answers: map[string]func(*terminal){"show version": show}}).script
	}
	target := serve(t, script)
	limit := 20 * time.Second
	if show == nil && want == "" {
		limit = time.Second
	}
	begun := time.Now()
	shell, err := cli.Dial(bounded(t, limit), target)
	if show != nil {
		if err != nil {
			t.Fatal(err)
		}
		defer shell.Close()
		if want == "" {
			limit = time.Second
		}
		begun = time.Now()
		_, err = shell.Run(bounded(t, limit), "show version")
		if shell.Err() == nil {
			t.Error("the shell is still of use")
		}
	}
	switch {
	case err == nil:
		t.Fatal("no error")
	case want == "" && !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("got %v, want the end of the time", err)
	case !strings.Contains(err.Error(), want):
		t.Errorf("got %v, want %q in it", err, want)
	}
	if took := time.Since(begun); took > limit+10*time.Second {
		t.Errorf("it took %s, %s were given", took, limit)
	}
}
