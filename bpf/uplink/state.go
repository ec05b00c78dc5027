package uplink

import "errors"

// ErrOccupied says that somebody else's XDP program is on the interface. It stays; `ip link show` names it.
var ErrOccupied = errors.New("another XDP program is there, and stays")

// A Status is how an uplink stands.
type Status string

const (
	// Attached means that our program is on the interface.
	Attached Status = "attached"
	// Disabled means that none is wanted.
	Disabled Status = "off"
	// Occupied means [ErrOccupied].
	Occupied Status = "occupied"
	// Failed means that the kernel or the driver took our program in no mode.
	Failed Status = "failed"
)

// A State is what there is on an uplink.
type State struct {
	Interface string
	Index     int // of the interface
	Status    Status

	// Of an uplink that is Attached.
	Mode     Mode   // [Native], [Generic] or [TCX]
	Program  string // uplink_frags (any MTU), uplink_plain, uplink_repair (no watchdog) or uplink_tcx
	Repair   bool
	Watchdog bool  // sessions that are armed are watched here
	Unpinned error // why the program ends with this process; nil if it does not
}
