package switchagent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/cli"
)

// TestCommandLineFaults: a refusal leaves the shell usable; a leaf that stalls, cuts the connection or
// goes away ends it, in time, and closing it does not hang.
func TestCommandLineFaults(t *testing.T) {
	for _, fault := range []string{"", "stall rpc=get-ipv6-nd-information after=20", "drop rpc=get-ipv6-nd-information after=20"} {
		t.Run("fault "+fault, func(t *testing.T) {
			s, o := newFactory(t, "21.4R1", "")
			target, err := s.cfg.target()
			s.must(err)
			target.Addr, target.User, target.Credentials = o.CLI, o.Login, o.Credentials
			shell, err := cli.Dial(t.Context(), target)
			s.must(err)
			for _, bad := range []string{"show nonsense", "frobnicate"} {
				_, err := shell.Run(t.Context(), bad)
				if _, refused := errors.AsType[*cli.CommandError](err); !refused || shell.Err() != nil {
					t.Errorf("%s: %v, %v", bad, err, shell.Err())
				}
			}
			if _, err := shell.Run(t.Context(), "show version\nrequest system reboot"); err == nil {
				t.Error("two lines in one")
			}
			patience := time.Minute
			if fault != "" {
				s.inject(fault)
				patience = 2 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := shell.Run(ctx, "show ipv6 neighbors | display xml | no-more")
			if fault == "" && (err != nil || !strings.Contains(out, "</rpc-reply>")) || fault != "" && (err == nil || shell.Err() == nil) {
				t.Errorf("%q: %v", out, err)
			}
			begun := time.Now()
			shell.Close()
			shell.Close()
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("closing took %s", took)
			}
		})
	}
}
