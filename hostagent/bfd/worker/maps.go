package worker

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maps are those of the watchdog in the kernel, for the worker.
type maps struct {
	sessions, events *os.File
	err              error // why there are none
}

// ErrWatchdogOff says that nobody wants the watchdog in the kernel, which is no
// reason for a warning.
var ErrWatchdogOff = errors.New("switched off in the configuration")

var errNoMaps = errors.New("it was not handed over")

// SetWatchdog hands over the two maps of the BFD watchdog in the kernel
// (bpf/bfdwatch), which belong to the Client from now on, or says why there are
// none: then the worker's own timers stand alone, as they do before it is called.
// This worker gets them and each later one. Called again, the new ones replace
// them; no session is taken down by that. It takes what uplink.Hooks.Watchdog
// returns.
func (c *Client) SetWatchdog(sessions, events *os.File, err error) {
	c.mu.Lock()
	replaced := c.offered
	c.offered = &maps{sessions, events, err}
	c.mu.Unlock()
	replaced.close()
	c.changed()
}

// takeMaps returns the maps that were offered last, nil if none ever were.
func (c *Client) takeMaps() *maps {
	c.mu.Lock()
	offered := c.offered
	c.offered = nil
	c.mu.Unlock()
	if offered != nil {
		c.maps.close()
		c.maps = offered
	}
	return c.maps
}

func (m *maps) close() {
	if m == nil || m.err != nil {
		return
	}
	// They are only read from, so nothing can be lost.
	_ = m.sessions.Close()
	_ = m.events.Close()
}

// sendMaps sends the worker the maps, unless it has them.
func (t *tenure) sendMaps() error {
	m := t.client.takeMaps()
	if m == nil || m == t.maps {
		return nil
	}
	t.lastID++
	t.maps, t.mapsID = m, t.lastID
	var rights []byte
	if m.err == nil {
		rights = unix.UnixRights(int(m.sessions.Fd()), int(m.events.Fd()))
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, _, err := t.conn.WriteMsgUnix(encode(nil, &order{kindWatchdog, t.mapsID}), rights, nil)
	return err
}

// watched notes whether the worker has the watchdog of these maps.
func (c *Client) watched(m *maps, refusal text) {
	err := m.err
	if refusal != (text{}) {
		err = errors.New(refusal.String())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Watchdog, c.status.WatchdogReason = err == nil, ""
	if err == nil {
		c.cfg.Log.Info("BFD has a watchdog in the kernel")
		return
	}
	c.status.WatchdogReason = oneLine(err)
	if errors.Is(err, ErrWatchdogOff) {
		c.cfg.Log.Info("BFD has no watchdog in the kernel", "err", err)
		return
	}
	c.cfg.Log.Warn("BFD has no watchdog in the kernel, only the worker's own timers", "err", err)
}
