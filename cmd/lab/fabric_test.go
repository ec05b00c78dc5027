package main

import (
	"slices"
	"testing"
)

func TestShellArgs(t *testing.T) {
	for _, test := range []struct{ args, want []string }{
		{nil, nil},
		{[]string{"--"}, nil},
		{[]string{"ip", "route"}, []string{"ip", "route"}},
		{[]string{"--", "ip", "route"}, []string{"ip", "route"}},
		{[]string{"env", "--", "ip"}, []string{"env", "--", "ip"}},
	} {
		cmd := shellCommand()
		if err := cmd.ParseFlags(append([]string{"bms1"}, test.args...)); err != nil {
			t.Fatal(err)
		}
		if got := shellArgs(cmd.Flags().Args()[1:]); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}
