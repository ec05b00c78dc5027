package junos_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/lab/junos"
)

// A quietListener is one that nobody dials.
type quietListener struct {
	net.Listener
	closed chan struct{}
}

func (l quietListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l quietListener) Close() error { close(l.closed); return nil }

// TestConfirmedInTime: a commit that is under way when the time of the one before is over confirms it.
func TestConfirmedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := world(t, "")
		cfg.CommitTime, cfg.Minute = 3*time.Second, 2*time.Second
		device, err := junos.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- device.Serve(ctx, quietListener{closed: make(chan struct{})}) }()
		synctest.Wait()
		o := device.Operator("admin")
		err = errors.Join(o.Edit(ctx, "set system host-name tried"), tried(ctx, o), o.Commit(ctx))
		time.Sleep(time.Minute)
		if !strings.Contains(device.Committed(), "host-name tried") {
			t.Errorf("taken back, and it was confirmed: %+v", device.History())
		}
		o.Close()
		cancel()
		if err := errors.Join(err, <-ended); err != nil {
			t.Error(err)
		}
	})
}

func tried(ctx context.Context, o *junos.Operator) error {
	_, err := o.RPC(ctx, trial)
	return err
}

const trial = "<commit-configuration><confirmed/><confirm-timeout>1</confirm-timeout></commit-configuration>"

// A hasty router ends a session in the middle of its commit.
type hasty struct {
	deaf
	end func()
}

func (r hasty) Configure(context.Context, []string) error { r.end(); return nil }

// TestTrialOfWhoHasGone: a commit is on trial too if its session was ended when it had taken effect.
func TestTrialOfWhoHasGone(t *testing.T) {
	cfg := config()
	cfg.Minute = 300 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	armed := make(chan struct{})
	cfg.Router = hasty{end: func() {
		select {
		case <-armed:
			cancel()
		default: // it boots
		}
	}}
	device, _ := serve(t, cfg)
	eventually(t, "booted", func() bool { return len(device.History()) > 0 })
	close(armed)
	o := device.Operator("admin")
	defer o.Close()
	edited := o.Edit(ctx, "set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0")
	if _, err := o.RPC(ctx, trial); edited != nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("%v, and the session was not ended in its commit: %v", edited, err)
	}
	eventually(t, "rolled back", func() bool {
		history := device.History()
		return history[len(history)-1].Database == "rollback" && !device.HasNeighbor("fe80::1")
	})
}
