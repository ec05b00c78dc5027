package hostagent_test

import (
	"fmt"
	"strings"
	"testing"

	"lastmile/hostagent"
)

// awaitWatched waits until the kernel watches the sessions with both leaves.
func (s *switched) awaitWatched(t *testing.T) {
	t.Helper()
	for _, uplink := range []string{"eth0", "eth1"} {
		await(t, func() error {
			p, err := s.bfd(t, uplink)
			if err == nil && p.Watchdog != "on" {
				err = fmt.Errorf("the watchdog of %s is %s", uplink, p.Watchdog)
			}
			return err
		})
	}
}

// The watchdog in the kernel tells of a leaf that falls silent, each time once,
// and of nothing else.
func TestWatchdogTellsOfASilentLeaf(t *testing.T) {
	for name, config := range map[string]string{
		"beside the repair": "",
		"alone":             "repair: {mode: \"off\"}\nbfd_watchdog: \"on\"",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwitched(t)
			s.start(t, `uplinks: ["eth*"]`, bfdConfig, config)
			for n := range uint64(2) {
				s.awaitBoth(t)
				s.awaitWatched(t)
				s.silence(t, 0, true)
				s.awaitLegs(t, "10.9.9.9", 1)
				await(t, func() error {
					p, err := s.bfd(t, "eth0")
					if got := p.WatchdogFirst + p.WatchdogSecond; err == nil && got != n+1 {
						err = fmt.Errorf("the watchdog has told of %d silences, want %d", got, n+1)
					}
					return err
				})
				s.silence(t, 0, false)
			}
			s.awaitBoth(t)
			s.awaitWatched(t)
			for _, uplink := range []string{"eth0", "eth1"} {
				if p, err := s.bfd(t, uplink); err != nil || p.WatchdogFalse > 0 || p.SessionDown != map[string]uint64{"eth0": 2}[uplink] {
					t.Errorf("%+v (%v)", p, err)
				}
			}
			for uplink, u := range s.repair(t).Uplinks {
				if !u.Watchdog || (u.Status == "attached") != (config == "") {
					t.Errorf("%s: %+v", uplink, u)
				}
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			s.expectLogged(t, 1, `msg="BFD has a watchdog in the kernel"`)
		})
	}
}

// With the program off the link the session stays, by the worker's own timers.
func TestWatchdogComesAndGoes(t *testing.T) {
	s := newSwitched(t)
	s.start(t, `uplinks: ["eth*"]`, bfdConfig)
	s.awaitBoth(t)
	s.awaitWatched(t)
	for _, what := range []string{"detach", "attach"} {
		if _, err := s.ns.Run(t.Context(), s.bin, "repair", what, "eth0", "--socket", s.socket); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"detach": "waiting", "attach": "on"}[what]
		await(t, func() error {
			p, err := s.bfd(t, "eth0")
			if err == nil && p.Watchdog != want {
				err = fmt.Errorf("the watchdog is %s after %s, want %s", p.Watchdog, what, want)
			}
			return err
		})
	}
	s.cmd.Process.Kill()
	if s.cmd.Wait() == nil {
		t.Error("a killed process has no error")
	}
	s.start(t, `uplinks: ["eth*"]`, bfdConfig, "bfd_watchdog: \"off\"")
	await(t, func() error {
		var answer hostagent.BFD
		err := hostagent.Ask(t.Context(), s.socket, "bfd", &answer)
		if err == nil && (answer.Worker.Watchdog || !strings.Contains(answer.Worker.Unwatched, "bfd_watchdog: off")) {
			err = fmt.Errorf("%+v", answer.Worker)
		}
		return err
	})
	s.awaitBoth(t)
	if p, err := s.bfd(t, "eth0"); err != nil || p.Watchdog != "off" || p.SessionDown != 0 {
		t.Errorf("%+v (%v)", p, err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
