package hostagent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/bgp"
)

func TestSessionOptions(t *testing.T) {
	c := Config{Sessions: []SessionRule{
		{Uplinks: []string{"eth0", "ens*"}, RemoteAS: []string{"65001", "4200000000"}, PasswordFile: new("/key"), TTLSecurity: true, UserTimeout: new(3 * time.Second)},
		{Uplinks: []string{"eth1"}, RemoteAS: []string{"65001", "external"}, MaxPrefixes: new(0), GracefulRestart: new(false), DSCP: new(0)},
	}}
	for link, want := range map[string]bgp.Options{
		"eth0": {RemoteAS: []uint32{65001, 4200000000}, MaxPrefixes: 1_000_000, GracefulRestart: true, DSCP: 48, PasswordFile: "/key", TTLSecurity: true, UserTimeout: 3 * time.Second},
		"ens5": {RemoteAS: []uint32{65001, 4200000000}, MaxPrefixes: 1_000_000, GracefulRestart: true, DSCP: 48, PasswordFile: "/key", TTLSecurity: true, UserTimeout: 3 * time.Second},
		"eth1": {},
		"eth2": {MaxPrefixes: 1_000_000, GracefulRestart: true, DSCP: 48},
	} {
		if diff := cmp.Diff(want, c.session(link)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", link, diff)
		}
	}
	c.Sessions = append([]SessionRule{{MaxPrefixes: new(7)}}, c.Sessions...)
	if got := c.session("eth0").MaxPrefixes; got != 7 {
		t.Errorf("a rule for all uplinks: %d", got)
	}
}
