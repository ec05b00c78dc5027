package junos_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/junos"
)

// agentClass is the class of a user that may do nothing but neighbours of one
// group.
const agentClass = `
set system login class agent permissions [ configure view view-configuration ]
set system login class agent deny-commands-regexps [ "^request" "^show route.*" ]
set system login class agent allow-configuration-regexps "protocols bgp group servers neighbor fe80.* (local-interface|description|peer-as) .*"
set system login class agent allow-configuration-regexps "protocols bgp group servers neighbor fe80[^ ]*$"
set system login class agent deny-configuration-regexps "protocols bgp group servers neighbor .* (multihop|family) .*"
set system login class agent deny-configuration-regexps "system .*"
`

func TestLoginClass(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Static += agentClass
	cfg.Users = append(cfg.Users, junos.User{Name: "agent", Password: "lab123", Class: "agent"},
		junos.User{Name: "viewer", Password: "lab123", Class: "read-only"},
		junos.User{Name: "nobody", Password: "lab123", Class: "not-there"})
	device, address := serve(t, cfg)
	d := dialAs(t, address, "agent", "1.0")
	mustHold(t, d, neighbors, "fe80::1")
	mustHold(t, d, "<get-route-information/>", "permission denied", "<bad-element>get-route-information</bad-element>")
	mustHold(t, d, "<kill-session><session-id>1</session-id></kill-session>", "permission denied")
	mustHold(t, d, committed, "set system host-name")
	for _, database := range []string{openEphemeral, openPrivate} {
		mustHold(t, d, database, "</rpc-reply>")
		mustHold(t, d, stanza("fe80::1", "ge-0/0/1.0"), "<ok/>")
		for _, lines := range []string{
			"set system host-name mine",
			"set protocols bgp group servers neighbor fe80::1 family inet unicast",
			"set protocols bgp group servers export own\nset protocols bgp group servers import own",
			"set protocols bgp group other type external",
			"delete protocols bgp group servers",
		} {
			reply := rpc(t, d, load(lines))
			nothing := strings.Contains(lines, "delete") && database == openEphemeral && strings.Contains(reply, "<ok/>")
			if !strings.Contains(reply, "permission denied") && !nothing {
				t.Errorf("%s: %s", lines, reply)
			}
		}
		mustHold(t, d, commit, "ok/>")
		mustHold(t, d, closeOpen, "</rpc-reply>")
	}
	if merged := device.Merged(); !strings.Contains(merged, "neighbor fe80::1 local-interface") || strings.Contains(merged, "host-name mine") || strings.Contains(merged, "group other") {
		t.Errorf("committed: %s", merged)
	}
	viewer := dialAs(t, address, "viewer", "1.0")
	mustHold(t, viewer, neighbors, "fe80::1")
	mustHold(t, viewer, openEphemeral, "permission denied")
	mustHold(t, viewer, committed, "permission denied")
	mustHold(t, dialAs(t, address, "nobody", "1.0"), neighbors, "permission denied")
}

// TestConfiguredUsers: who is committed may log in with the keys there.
func TestConfiguredUsers(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	signer, public := newKey(t)
	login := func() error {
		client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
			User: "agent", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			client.Close()
		}
		return err
	}
	if login() == nil {
		t.Error("let in before being configured")
	}
	o := device.Operator("admin")
	defer o.Close()
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	if err := o.CommitPrivate(t.Context(), `set system login user agent class super-user authentication ssh-ed25519 "`+key+`"`); err != nil {
		t.Fatal(err)
	}
	if err := login(); err != nil {
		t.Errorf("after the commit: %v", err)
	}
}
