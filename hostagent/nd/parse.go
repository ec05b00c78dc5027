package nd

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// Heard is a valid router advertisement that was received.
type Heard struct {
	Link   string
	Router netip.Addr       // the sender's link-local address, with the link as its zone
	MAC    net.HardwareAddr // source link-layer address option; nil if there was none
	// Lifetime is how long the sender wants to be a default router; 0 for one
	// that does not, which may be a peer all the same.
	Lifetime time.Duration
	At       time.Time
}

// Why a message is dropped: the checks of RFC 4861 sections 6.1.1 and 6.1.2.
// Their texts are the values of the drop counter's label.
var (
	errHopLimit = errors.New("hop_limit") // it was forwarded: the sender is not on the link
	errSource   = errors.New("source")
	errType     = errors.New("type")
	errCode     = errors.New("code")
	errLength   = errors.New("length")
	errOption   = errors.New("option")
)

var drops = []error{errHopLimit, errSource, errType, errCode, errLength, errOption}

// datagram is an ICMPv6 message as it came from the socket, which has checked
// the checksum.
type datagram struct {
	body     []byte
	source   netip.Addr
	hopLimit int
}

// message is what we read of a router solicitation or advertisement.
type message struct {
	kind     kind
	lifetime time.Duration    // of an advertisement
	mac      net.HardwareAddr // source link-layer address option
}

// kind is what router discovery consists of.
type kind bool

const (
	advertisement kind = false
	solicitation  kind = true
)

// String is the value of the counters' label.
func (k kind) String() string {
	if k == solicitation {
		return "solicitation"
	}
	return "advertisement"
}

const (
	solicitationLen  = 8  // RFC 4861 section 4.1, without options
	advertisementLen = 16 // section 4.2
	optionSource     = 1  // section 4.6.1
)

// parse checks and reads a router solicitation or advertisement. Options that
// we do not use may hold anything, and be of any length: they must be ignored
// (section 6.1.2), which a parser of all options would not do.
func parse(d datagram) (message, error) {
	if d.hopLimit != ndp.HopLimit {
		return message{}, errHopLimit
	}
	if len(d.body) < solicitationLen {
		return message{}, errLength
	}
	if d.body[1] != 0 {
		return message{}, errCode
	}
	switch ipv6.ICMPType(d.body[0]) {
	case ipv6.ICMPTypeRouterSolicitation:
		mac, err := sourceOption(d.body[solicitationLen:])
		if err == nil && mac != nil && d.source.IsUnspecified() {
			err = errSource
		}
		return message{kind: solicitation, mac: mac}, err
	case ipv6.ICMPTypeRouterAdvertisement:
		if !d.source.IsLinkLocalUnicast() {
			return message{}, errSource
		}
		if len(d.body) < advertisementLen {
			return message{}, errLength
		}
		mac, err := sourceOption(d.body[advertisementLen:])
		lifetime := time.Duration(binary.BigEndian.Uint16(d.body[6:])) * time.Second
		return message{lifetime: lifetime, mac: mac}, err
	}
	return message{}, errType
}

// sourceOption walks the options, checks their lengths, and returns the source
// link-layer address among them, nil if there is none.
func sourceOption(options []byte) (net.HardwareAddr, error) {
	var mac net.HardwareAddr
	for len(options) > 0 {
		if len(options) < 2 || options[1] == 0 || int(options[1])*8 > len(options) {
			return nil, errOption
		}
		length := int(options[1]) * 8
		if options[0] == optionSource && mac == nil {
			mac = append(mac, options[2:length]...)
		}
		options = options[length:]
	}
	return mac, nil
}
