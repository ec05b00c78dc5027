package junos_test

import (
	"context"
	"fmt"
	"net"

	"lastmile/lab/junos"
)

// A leaf with one server plugged in, whose next commit takes effect and loses
// its reply. What talks to it would dial l.Addr.
func Example() {
	world := junos.NewWorld("ge-0/0/1.0")
	_ = world.Plug("ge-0/0/1.0", "fe80::1", "52:54:00:00:00:01")
	profile, _ := junos.ProfileNamed("20.4R1")
	device, err := junos.New(junos.Config{
		World: world, Profile: profile, HostName: "leaf1", Model: "qfx5120-48y-8c",
		Static: `
set system services netconf ssh
set system configuration-database ephemeral instance lastmile
set routing-options autonomous-system 65001
set protocols bgp group servers type external
set protocols bgp group servers peer-as 64512
`,
		Users: []junos.User{{Name: "switchagent", Password: "secret"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- device.Serve(ctx, l) }()

	fault, _ := junos.ParseFault("reset-after rpc=commit-configuration")
	_, _ = device.Inject(fault)

	operator := device.Operator("admin") // faults are not for operators
	err = operator.CommitEphemeral(ctx, "lastmile", "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0")
	fmt.Println(err, world.Established("ge-0/0/1.0", "fe80::1"), world.Disturbed(), device.Faults()[0].Fault)
	operator.Close()
	cancel()
	<-served
	// Output: <nil> true [] reset-after rpc=commit-configuration
}
