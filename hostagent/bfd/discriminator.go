package bfd

import (
	"crypto/rand"
	"encoding/binary"
)

// Discriminators hands out the numbers that name our sessions in the
// neighbours' packets. They are random, so that a packet meant for a session of
// an earlier life names none of this one, and cannot be guessed. They are unique
// here only: neighbours may have the same ones. The zero value is ready to use.
type Discriminators struct {
	taken map[uint32]struct{}
	draw  func() uint32 // nil: from crypto/rand
}

// Take returns a discriminator that no one has, never 0 (RFC 5880 section
// 6.8.1).
func (d *Discriminators) Take() uint32 {
	if d.taken == nil {
		d.taken = map[uint32]struct{}{}
	}
	if d.draw == nil {
		d.draw = drawRandom
	}
	for {
		n := d.draw()
		if _, taken := d.taken[n]; n != 0 && !taken {
			d.taken[n] = struct{}{}
			return n
		}
	}
}

// Free gives one back.
func (d *Discriminators) Free(n uint32) { delete(d.taken, n) }

func drawRandom() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails: the process ends if there is no randomness
	return binary.NativeEndian.Uint32(b[:])
}
