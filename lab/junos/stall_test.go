package junos_test

import (
	"strings"
	"testing"
	"time"
)

// TestAStallEndsWithItsClient: a session that answers no more gives its locks back when its client has gone.
func TestAStallEndsWithItsClient(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	device, address := serve(t, cfg)
	r := mustConnect(t, address)
	for _, request := range []string{openEphemeral, stanza("fe80::1", "ge-0/0/1.0")} {
		if _, err := r.call(request); err != nil {
			t.Fatal(err)
		}
	}
	inject(t, device, "stall rpc=commit-configuration")
	if reply, err, came := r.soon(commit, 100*time.Millisecond); came {
		t.Fatalf("it answered %q %v", reply, err)
	}
	if by := device.OpenedBy("lastmile"); by != "lab" {
		t.Errorf("the instance is open by %q while the session lives", by)
	}
	r.client.Close()
	eventually(t, "the instance given back", func() bool { return device.OpenedBy("lastmile") == "" })
	eventually(t, "the session gone", func() bool { return len(device.Sessions()) == 0 })
}

// TestClearEndsWhatFaultsHold: whoever waits for a fault goes on when all are cleared.
func TestClearEndsWhatFaultsHold(t *testing.T) {
	t.Run("stall and slow", func(t *testing.T) {
		for _, fault := range []string{"stall", "stall after=10 delay=1h", "slow rpc=get-ipv6-nd-information delay=1h", "dribble delay=1h"} {
			cfg, _ := world(t, "21.4R1")
			device, address := serve(t, cfg)
			r := mustConnect(t, address)
			inject(t, device, fault)
			got := make(chan string, 1)
			go func() { reply, _ := r.call(neighbors); got <- reply }()
			eventually(t, "the strike", func() bool { return len(device.Strikes()) == 1 })
			device.ClearFaults()
			if reply := <-got; !strings.Contains(reply, "</rpc-reply>") {
				t.Errorf("%s: %q", fault, reply)
			}
		}
	})
	t.Run("at the door", func(t *testing.T) {
		cfg, _ := world(t, "21.4R1")
		device, address := serve(t, cfg)
		inject(t, device, "stall rpc=connect")
		in := make(chan error, 1)
		go func() { _, err := connect(t, address); in <- err }()
		eventually(t, "the strike", func() bool { return len(device.Strikes()) == 1 })
		device.ClearFaults()
		if err := <-in; err != nil {
			t.Error(err)
		}
	})
	t.Run("linger", func(t *testing.T) {
		cfg, _ := world(t, "21.4R1")
		device, address := serve(t, cfg)
		r := mustConnect(t, address)
		if _, err := r.call(openEphemeral); err != nil {
			t.Fatal(err)
		}
		inject(t, device, "linger delay=1h")
		r.client.Close()
		eventually(t, "the strike", func() bool { return len(device.Strikes()) == 1 })
		device.ClearFaults()
		eventually(t, "the lock released", func() bool { return device.OpenedBy("lastmile") == "" })
	})
}
