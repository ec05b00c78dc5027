package bfd

// Drop says why a received packet is not used. The zero value is a packet that
// is. The reasons are in the order in which they are looked for (RFC 5881
// section 5, then RFC 5880 section 6.8.6): up to DropState by Parse, the others
// by whoever finds the session, and by Receive.
type Drop uint8

const (
	Accepted              Drop = iota
	DropHopLimit               // it was forwarded: the sender is not on the link
	DropVersion                // not 1
	DropLength                 // shorter than it must be, or than it says
	DropMultiplier             // 0
	DropMultipoint             // the M bit, which is for another protocol
	DropMyDiscriminator        // 0
	DropState                  // Init or Up from a neighbour that has not heard us: its Your Discriminator is 0
	DropYourDiscriminator      // of no session here: the neighbour has not noticed yet that we were restarted
	DropPeer                   // no session with this neighbour
	DropAuthentication         // it is authenticated, and the session is not
	DropAdminDown              // we are administratively down
	drops
)

var dropNames = [drops]string{
	"accepted", "hop_limit", "version", "length", "multiplier", "multipoint", "my_discriminator",
	"state", "your_discriminator", "peer", "authentication", "admin_down",
}

// String is the value of a counter's label.
func (d Drop) String() string {
	if d >= drops {
		return "unknown"
	}
	return dropNames[d]
}

// Drops returns every reason, for whoever counts them; Accepted is not one.
func Drops() []Drop {
	all := make([]Drop, 0, drops-1)
	for d := Accepted + 1; d < drops; d++ {
		all = append(all, d)
	}
	return all
}
