package lab

import (
	"fmt"
	"os"
	"testing"

	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// TestStagesLeaveNoPins: what hostagent has pinned for a server goes with its namespace, of which the next one
// may get the number.
func TestStagesLeaveNoPins(t *testing.T) {
	name := fmt.Sprintf("lmt-%d-stage", os.Getpid())
	for kind, build := range map[string]func() (*netns.NS, func() error, error){
		"tables": func() (*netns.NS, func() error, error) {
			s, err := setStage(TableConfig{Name: name})
			if err != nil {
				return nil, nil, err
			}
			return s.host, s.clear, nil
		},
		"BFD": func() (*netns.NS, func() error, error) {
			host, err := netns.New(name + "-bfd")
			s := &bfdStage{host: host, dir: t.TempDir()}
			return host, s.clear, err
		},
	} {
		t.Run(kind, func(t *testing.T) {
			host, clear, err := build()
			if err != nil {
				t.Fatal(err)
			}
			var pins string
			err = host.Do(func() (err error) {
				if pins, err = uplink.PinsHere(); err != nil {
					return err
				}
				hooks, err := uplink.Open(uplink.Options{Repair: true})
				if err != nil {
					return err
				}
				return hooks.Close()
			})
			if _, there := os.Stat(pins); err != nil || there != nil {
				t.Errorf("nothing is pinned: %v, %v", err, there)
			}
			if err := clear(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(pins); !os.IsNotExist(err) {
				t.Errorf("%s stays: %v", pins, err)
			}
		})
	}
}
