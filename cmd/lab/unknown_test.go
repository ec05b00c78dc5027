package main

import (
	"io"
	"testing"
)

// TestUnknownCommands: a script with a spelling mistake must not go on.
func TestUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{"bogus"}, {"bench", "bogus"}, {"demo", "bogus"}} {
		cmd := root()
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
}

// TestHints: the commands that up names are of the fabric that is up.
func TestHints(t *testing.T) {
	for name, want := range map[string]string{standardName: "`lab shell bms1`, `lab down`", "f6": "`lab shell bms1 --name f6`, `lab down --name f6`"} {
		if got := hints(name, "shell", "down"); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
