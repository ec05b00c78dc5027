package switchagent

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRestartWithoutTheKey: who is there, and whose key cannot be read by an agent that has just started, keeps the
// stanza, also while the session is down.
func TestRestartWithoutTheKey(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.HoldDown = 0 })
	key := filepath.Join(t.TempDir(), "key")
	s.must(os.WriteFile(key, []byte("secret\n"), 0o600))
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,," + key + "\nge-0/0/2.0,bms2,4200000102,10.0.0.2/32,,\n")
	s.plug(1)
	s.plug(2)
	first := s.start()
	s.await("1 2")
	first.stop()
	s.must(os.Remove(key))
	s.disturbs = true
	s.world.SetSilent(portOf(1), addressOf(1), true)
	s.start()
	s.eventually("the key is missed", func() bool { return s.logged("key of a port cannot be read") })
	s.rest()
	s.await("1 2")
}
