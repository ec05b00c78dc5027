package hostagent

import (
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

func TestBFDConfig(t *testing.T) {
	yes, no := true, false
	for name, test := range map[string]struct {
		rule BFDRule
		want string // words of the one problem; empty for none
	}{
		"nothing":                   {BFDRule{}, ""},
		"enabled":                   {BFDRule{Enabled: &yes, Strict: true}, ""},
		"fast":                      {BFDRule{TransmitInterval: new(10 * time.Millisecond), ReceiveInterval: new(10 * time.Millisecond), DetectMultiplier: new(3)}, ""},
		"too fast":                  {BFDRule{TransmitInterval: new(9 * time.Millisecond)}, "bfd[0].transmit_interval 9ms is not allowed: 10ms to 1m0s"},
		"too fast for the leaf":     {BFDRule{Profile: "qfx5k", ReceiveInterval: new(300 * time.Millisecond)}, "bfd[0].receive_interval 300ms is not allowed: 1s to 1m0s (QFX5000"},
		"negative":                  {BFDRule{ReceiveInterval: new(-time.Second)}, "bfd[0].receive_interval -1s is not allowed"},
		"no transmit interval":      {BFDRule{TransmitInterval: new(time.Duration(0))}, "bfd[0].transmit_interval 0s is not allowed: 10ms to 1m0s"},
		"no receive interval":       {BFDRule{ReceiveInterval: new(time.Duration(0))}, "bfd[0].receive_interval 0s is not allowed: 10ms to 1m0s"},
		"no multiplier":             {BFDRule{DetectMultiplier: new(0)}, "bfd[0].detect_multiplier 0 is not allowed: 1 to 255"},
		"unknown profile":           {BFDRule{Profile: "qfx10k"}, `bfd[0].profile "qfx10k" is not allowed: one of default, eos, frr, junos-re, qfx5k`},
		"multiplier":                {BFDRule{DetectMultiplier: new(256)}, "bfd[0].detect_multiplier 256 is not allowed: 1 to 255"},
		"strict without BFD at all": {BFDRule{Enabled: &no, Strict: true}, "bfd[0].strict not allowed beside enabled: false"},
		"uplink":                    {BFDRule{Uplinks: []string{"lo"}}, `bfd[0].uplinks[0] "lo" is not allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			var problems []string
			test.rule.validate("bfd[0]", func(key, problem string) { problems = append(problems, key+" "+problem) })
			got := strings.Join(problems, "\n")
			if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) || len(problems) > 1 {
				t.Errorf("problems %q, want %q", got, test.want)
			}
		})
	}
}

func TestFirstBFDRuleForAnUplinkCounts(t *testing.T) {
	c := Config{BFD: []BFDRule{{Uplinks: []string{"eth2"}, Profile: "qfx5k"}, {TransmitInterval: new(50 * time.Millisecond)}}}
	for link, want := range map[string]bfd.Timers{
		"eth2": {Transmit: time.Second, Receive: time.Second, Multiplier: 3},
		"eth0": {Transmit: 50 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3},
	} {
		rule := c.bfd(link)
		if got := rule.timers(); got != want {
			t.Errorf("%s has %v, want %v", link, got, want)
		}
	}
	if got := worst(bfdTimers(time.Second)); got != 3*time.Second {
		t.Errorf("worst detection of 1s x 3 is %v", got)
	}
}

func TestReload(t *testing.T) {
	fast := []BFDRule{{TransmitInterval: new(50 * time.Millisecond), ReceiveInterval: new(50 * time.Millisecond)}}
	for name, test := range map[string]struct {
		change     func(c *Config)
		scheduling worker.Scheduling
		want       string // words of the error
		transmit   time.Duration
	}{
		"timers":              {func(c *Config) { c.BFD = fast }, worker.FIFO, "", 50 * time.Millisecond},
		"nothing":             {func(*Config) {}, worker.FIFO, "", 300 * time.Millisecond},
		"router ID left out":  {func(c *Config) { c.RouterID = Config{}.RouterID }, worker.FIFO, "", 300 * time.Millisecond},
		"another key too":     {func(c *Config) { c.BFD = fast; c.HoldTime = 90 * time.Second }, worker.FIFO, "hold_time: a change needs a restart", 300 * time.Millisecond},
		"what it cannot hold": {func(c *Config) { c.BFD = fast }, worker.Normal, "bfd[0]: transmit interval 50ms", 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "eth*")
			fake := w.Agent.bfd.(*fakeBFD)
			fake.status.Running, fake.status.Scheduling = true, test.scheduling
			w.heardLeaf()
			to := w.cfg
			test.change(&to)
			err := w.reload(to)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			for peer, watch := range fake.watched {
				if watch.Timers.Transmit != test.transmit {
					t.Errorf("%s has %v after the reload, want %v", peer, watch.Timers.Transmit, test.transmit)
				}
			}
			if len(fake.watched) != 1 {
				t.Errorf("watched: %v", fake.watched)
			}
		})
	}
}

// Timers that the worker cannot hold are refused, and BGP goes on.
func TestRefusedTimers(t *testing.T) {
	w := newWorld(t, "eth*")
	fake := w.Agent.bfd.(*fakeBFD)
	fake.status.Running = true
	w.cfg.BFD = []BFDRule{{TransmitInterval: new(10 * time.Millisecond)}}
	w.heardLeaf()
	u := w.uplinks["eth0"]
	if u.bfd.refused == nil || !strings.Contains(w.log.String(), "CAP_SYS_NICE") {
		t.Errorf("refused: %v, log: %s", u.bfd.refused, w.log.String())
	}
	if !u.leaf.IsValid() {
		t.Error("there is no BGP without BFD")
	}
	fake.status.Scheduling = worker.FIFO // of another worker, with the privilege
	w.repair(w.ctx)
	if u.bfd.refused != nil || len(fake.watched) != 1 {
		t.Errorf("refused: %v, watched: %v", u.bfd.refused, fake.watched)
	}
}
