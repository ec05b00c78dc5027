// Package bfd is Bidirectional Forwarding Detection (RFC 5880) over a single
// hop (RFC 5881): whether packets pass between us and a neighbour, in both
// directions, asked many times a second.
//
// It has two parts, and neither has a clock, a socket or a goroutine. Packet is
// the codec. Session is the state machine of one neighbour: it is told what
// arrives and what time it is, and says what to send, when it wants to be called
// again, and what has become of the neighbour. Neither allocates once a session
// exists, so both can run where no garbage collector does.
//
// Whoever runs sessions does this, over and over:
//
//	now := clock()                       // before the socket is read
//	for each datagram in the socket:     // all of them
//		packet, drop := bfd.Parse(payload, hopLimit)
//		session.Receive(&packet, at)     // at: when the kernel received it
//	session.Tick(now)
//	for packet, ok := session.Transmit(now); ok; packet, ok = session.Transmit(now) {
//		send(packet.Append(buffer[:0]))
//	}
//	sleep until session.Deadline() or a datagram
//
// A neighbour is dead when no packet arrived for the detection time, by the
// kernel's receive times and not by when we got round to reading: packets that
// wait in the socket while we are late keep a session up, and so does one that
// arrives after the last read, because now is older than it. A watchdog in the
// kernel that sees the same packets is therefore no more than another reason to
// wake.
//
// The session is asynchronous mode, whole. It honours a neighbour that demands
// silence (demand mode), and does not demand it itself. There is no echo
// function and no authentication: packets with it are dropped.
package bfd
