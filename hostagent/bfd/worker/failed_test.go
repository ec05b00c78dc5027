package worker

import (
	"testing"
	"time"

	"lastmile/hostagent/bfd"
)

// TestWhenItFailed: a worker that comes late says when the path failed, not when it
// noticed, and what the session does afterwards changes nothing.
func TestWhenItFailed(t *testing.T) {
	const detect = time.Second
	now := monotonic()
	for name, test := range map[string]struct {
		change bfd.Change
		want   time.Duration // 0: it has not
	}{
		"expired": {bfd.Change{From: bfd.Up, Cause: bfd.Expired, At: now, LastReceived: now - 3*time.Second, DetectTime: detect},
			now - 3*time.Second + detect},
		"the peer says so": {bfd.Change{From: bfd.Up, Cause: bfd.PeerDown, At: now - 2*time.Second, LastReceived: now - 3*time.Second, DetectTime: detect},
			now - 2*time.Second},
		"its administrator": {bfd.Change{From: bfd.Up, Cause: bfd.PeerAdminDown, At: now}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.change.To = bfd.Down
			machine, err := bfd.New(bfd.Config{Discriminator: 1, Timers: bfd.Timers{Transmit: detect, Receive: detect, Multiplier: 3}}, now)
			if err != nil {
				t.Fatal(err)
			}
			s := &session{machine: machine, link: &link{}}
			s.changed(test.change)
			s.changed(bfd.Change{From: bfd.Down, To: bfd.Init, At: now})
			var r report
			s.report(0, 0, &r)
			if r.Failed != test.want {
				t.Errorf("failed at %v, want %v", r.Failed, test.want)
			}
			client := New(Config{})
			from := time.Now()
			(&tenure{client: client, has: map[key]*entry{}}).learn(&r)
			n, _ := client.outbox.take()
			if test.want == 0 {
				if !n.FailedAt.IsZero() {
					t.Errorf("told as failed at %v", n.FailedAt)
				}
				return
			}
			ago := from.Sub(n.FailedAt) - (now - test.want)
			if took := time.Since(from) + time.Duration(monotonic()-now); ago < -took || ago > took {
				t.Errorf("told as failed %v before it had", ago)
			}
		})
	}
}
