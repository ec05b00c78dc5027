package junos

import (
	"context"
	"fmt"
	"strings"
	"testing"

	gonetconf "github.com/Juniper/go-netconf/netconf"

	"lastmile/switchagent/netconf"
)

// echo is a switch that repeats what it was told in its errors and warnings.
type echo struct{ caller }

func (echo) Call(_ context.Context, call netconf.Call) (netconf.Reply, error) {
	said := []netconf.Error{{BadElement: "neighbor fe80::1 authentication-key Hush-4711", RPCError: gonetconf.RPCError{
		Message: `permission denied: "Hush-4711" Hush-4711 Hush-4711; $9$LbHX-wg4Z at ` + call.Name(), Path: "[edit x Hush-4711]",
	}}}
	return netconf.Reply{Warnings: said}, fmt.Errorf("netconf %s: %w", call.Name(), &netconf.ReplyError{Errors: said, Warnings: said})
}

func (echo) Err() error { return nil }

// TestKeysInErrorsAreNotShown: neither in the error nor in the trace, which are logged; nor in those of the
// commit, which tells no key itself. The rest of the words stays.
func TestKeysInErrorsAreNotShown(t *testing.T) {
	var traced []string
	c := &Client{session: echo{}, trace: func(tr Trace) { traced = append(append(traced, tr.Warnings...), tr.Err.Error()) }}
	for _, body := range []string{"<load-configuration><authentication-key>Hush-4711</authentication-key></load-configuration>", "<commit-configuration/>"} {
		_, err := c.call(t.Context(), netconf.Call{Body: body})
		shown := strings.Join(append(traced, err.Error()), "\n")
		if strings.Contains(shown, "Hush") || strings.Contains(shown, "$9$") || !strings.Contains(shown, "neighbor fe80::1 authentication-key ***") ||
			!strings.Contains(shown, `permission denied: "***" *** ***;`) {
			t.Errorf("%s: %s", body, shown)
		}
	}
}
