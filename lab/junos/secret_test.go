package junos_test

import (
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestSecrets: who has no permission for keys neither sees nor sets them, whatever expressions allow; who may
// see them may not set them.
func TestSecrets(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	for class, permission := range map[string]string{"none": "", "sees": "secret", "sets": "secret-control"} {
		cfg.Static += "set system login class " + class + " permissions [ configure view view-configuration " + permission + " ]\n" +
			"set system login class " + class + " allow-configuration-regexps \"protocols bgp group servers neighbor fe80.*\"\n" +
			"set system login class " + class + " deny-configuration-regexps \"system .*\"\n"
		cfg.Users = append(cfg.Users, junos.User{Name: class, Password: "lab123", Class: class})
	}
	cfg.Static += "set protocols bgp group servers neighbor fe80::9 authentication-key hush\n" +
		"set protocols bgp group servers neighbor fe80::9 local-interface ge-0/0/1.0\n"
	_, address := serve(t, cfg)
	read := `<get-configuration database="committed" format="set"/>`
	for class, want := range map[string]struct{ sees, sets bool }{"none": {}, "sees": {sees: true}, "sets": {true, true}} {
		d := dialAs(t, address, class, "1.0")
		for _, request := range []string{read, committed, "<get-config><source><running/></source></get-config>"} {
			reply := rpc(t, d, request)
			if sees := strings.Contains(reply, "hush"); sees != want.sees || strings.Contains(reply, "SECRET-DATA") == want.sees {
				t.Errorf("%s, %s: %s", class, request, reply)
			}
		}
		mustHold(t, d, openPrivate, "</rpc-reply>")
		reply := rpc(t, d, load("set protocols bgp group servers neighbor fe80::9 authentication-key other"))
		if sets := strings.Contains(reply, "<ok/>"); sets != want.sets || strings.Contains(reply, "permission denied") == want.sets {
			t.Errorf("%s: %s", class, reply)
		}
		mustHold(t, d, load("set system root-authentication encrypted-password x"), "permission denied")
		mustHold(t, d, load("set protocols bgp group servers neighbor fe80::9 description x"), "<ok/>")
		mustHold(t, d, closeOpen, "</rpc-reply>")
	}
}
