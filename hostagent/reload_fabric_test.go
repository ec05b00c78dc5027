package hostagent_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// reload has the daemon that runs read another configuration.
func (s *server) reload(t *testing.T, path string, more ...string) {
	t.Helper()
	text, err := os.ReadFile(s.config(t, more...))
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err == nil {
		err = s.cmd.Process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitTimers waits until BFD on eth0 has these timers in force, at both ends.
func (s *switched) awaitTimers(t *testing.T, interval float64, multiplier int) {
	t.Helper()
	await(t, func() error {
		p, err := s.bfd(t, "eth0")
		if err == nil && (p.Status != "up" || p.Transmit != interval || p.Receive != interval || p.Multiplier != multiplier || p.Polling ||
			p.DetectTime != max(interval, 50)*10 || p.RemoteDetectTime != max(interval, 50)*float64(multiplier)) {
			err = fmt.Errorf("want %v ms x %d: %+v", interval, multiplier, p)
		}
		return err
	})
}

// SIGHUP changes the timers of sessions that are up, and a file that is wrong
// changes nothing.
func TestHangupReloads(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	path := s.cmd.Args[len(s.cmd.Args)-1]
	s.awaitBoth(t)
	s.awaitTimers(t, 50, 10)
	before := s.downs(t)
	good := `bfd: [{transmit_interval: 200ms, receive_interval: 200ms, detect_multiplier: 15}]`
	s.reload(t, path, `uplinks: ["eth*"]`, good)
	s.awaitTimers(t, 200, 15)
	for name, test := range map[string]struct{ config, complaint string }{
		"a value that is not allowed": {`bfd: [{transmit_interval: 1ms}]`, "bfd[0].transmit_interval"},
		"a key that is none":          {`bfd: [{transmit: 100ms}]`, "transmit"},
		"a key that needs a restart":  {"hold_time: 30s\nbfd: [{transmit_interval: 400ms}]", "hold_time: a change needs a restart"},
	} {
		t.Run(name, func(t *testing.T) {
			s.reload(t, path, `uplinks: ["eth*"]`, test.config)
			await(t, func() error {
				for line := range strings.Lines(s.log.String()) {
					if strings.Contains(line, "configuration not reloaded") && strings.Contains(line, test.complaint) {
						return nil
					}
				}
				return fmt.Errorf("no complaint of %q", test.complaint)
			})
			s.awaitTimers(t, 200, 15)
		})
	}
	s.reload(t, path, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitTimers(t, 50, 10)
	if n := s.downs(t) - before; n > 0 {
		t.Errorf("BFD went down %d times", n)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.expectLogged(t, 2, `msg="configuration reloaded"`)
	s.expectLogged(t, 3, `msg="configuration not reloaded"`)
	s.expectLogged(t, 0, "bgp session ended")
}
