package bgp

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// ErrRestart is the cause of Run's context for an end that the peers are not to
// be told of, so that they keep our routes for Config.RestartTime (RFC 4724
// section 4.1).
var ErrRestart = errors.New("hostagent restarts")

const (
	// mostStale is for how long a peer's routes are kept at most while it
	// restarts, whatever it asks for.
	mostStale = 3 * time.Minute
	// endOfRIBWait is how long a peer has to send its End-of-RIB markers.
	endOfRIBWait = 30 * time.Second

	// MaxRestartTime is the limit of Config.RestartTime: 12 bits of seconds.
	MaxRestartTime = 4095 * time.Second
)

// restart is the Graceful Restart capability (RFC 4724 section 3).
type restart struct {
	// present says that it is there: its speaker sends End-of-RIB markers, and
	// may keep the routes of peers that restart.
	present    bool
	restarting bool // R: its speaker has restarted, and waits for no marker
	seconds    uint16
	// Which families its speaker may restart in, and for which of them its
	// forwarding has gone on meanwhile, or will (F).
	ipv4, ipv6           bool
	keepsIPv4, keepsIPv6 bool
}

const (
	restartR = 0x80 // of the first byte
	restartF = 0x80 // of the last byte of a family
)

// parseRestart reads the capability's value and says if it is well formed.
func parseRestart(b []byte) (restart, bool) {
	if len(b) < 2 || (len(b)-2)%4 != 0 {
		return restart{}, false
	}
	r := restart{present: true, restarting: b[0]&restartR != 0, seconds: binary.BigEndian.Uint16(b) & 0x0fff}
	for b = b[2:]; len(b) > 0; b = b[4:] {
		switch keeps := b[3]&restartF != 0; familyIn(b) {
		case bgp.RF_IPv4_UC:
			r.ipv4, r.keepsIPv4 = true, keeps
		case bgp.RF_IPv6_UC:
			r.ipv6, r.keepsIPv6 = true, keeps
		}
	}
	return r, true
}

// capability encodes it.
func (r restart) capability() bgp.ParameterCapabilityInterface {
	var families []*bgp.CapGracefulRestartTuple
	if r.ipv4 {
		families = append(families, bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, r.keepsIPv4))
	}
	if r.ipv6 {
		families = append(families, bgp.NewCapGracefulRestartTuple(bgp.RF_IPv6_UC, r.keepsIPv6))
	}
	return bgp.NewCapGracefulRestart(r.restarting, false, r.seconds, families)
}

// ourRestart is the capability that we send. That we keep the peer's routes is
// said by its being there.
func ourRestart(cfg Config, options Options, started time.Time) restart {
	r := restart{present: options.GracefulRestart || cfg.RestartTime > 0}
	if cfg.RestartTime == 0 {
		return r
	}
	r.seconds = uint16(cfg.RestartTime / time.Second)
	r.ipv4, r.ipv6 = true, true
	// What the process before us left counts until the peers have forgotten it.
	// From then on it is what we have made.
	first := time.Since(started) < cfg.RestartTime
	r.restarting = first && cfg.Restarted
	r.keepsIPv4 = !first || cfg.Restarted
	r.keepsIPv6 = r.keepsIPv4
	return r
}

// keeps says if the peer forwards on while it restarts, in all that we have
// heard from it. Where a part would have to go, all may: there is another leaf.
func (o open) keeps() bool {
	return o.restart.present &&
		(o.restart.keepsIPv4 || o.multiprotocol && !o.ipv4) && (o.restart.keepsIPv6 || !o.ipv6)
}

// stale is for how long to keep the routes of a session that has ended with
// err, 0 for not at all. They are kept if somebody at the peer has closed the
// connection, with no word of why: then the speaker is gone, and the machine is
// there. A peer that has fallen silent is not taken for one that restarts.
func (c *connection) stale(err error) time.Duration {
	if c.state != Established || !c.options.GracefulRestart || !closed(err) || !c.open.keeps() {
		return 0
	}
	return min(time.Duration(c.open.restart.seconds)*time.Second, mostStale)
}
