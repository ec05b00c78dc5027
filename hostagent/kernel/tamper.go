package kernel

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Where the filter looks, in bytes from the start of a netlink message.
const (
	atType       = 4                       // struct nlmsghdr: nlmsg_type
	atPort       = 12                      // nlmsg_pid: who asked for the change; 0 is the kernel
	atProtocol   = unix.SizeofNlMsghdr + 5 // struct rtmsg: rtm_protocol
	atNHProtocol = unix.SizeofNlMsghdr + 2 // struct nhmsg: nh_protocol
	atFamily     = unix.SizeofNlMsghdr     // struct ndmsg: ndm_family
	accept, drop = 0xffffffff, 0           // bytes to keep of the message
	loadHalf     = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	loadByte     = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
	loadWord     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	jumpIfEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	returnConst  = unix.BPF_RET | unix.BPF_K
)

// tamperFilter keeps news of routes and next hops from the socket but for those that somebody else removed, or changed if
// they are next hops: the kernel tells of every route that we install. What the kernel removes by itself goes with a link or
// an address, of which there is other news. Of neighbours only IPv6 ones are of interest. A route of ours that another replaces is not among the news: [FIB.Audit].
func tamperFilter() []unix.SockFilter {
	port := binary.NativeEndian.AppendUint32(nil, ownerPort)
	kind := func(t uint16) uint32 { // loads are big-endian
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, t)))
	}
	return []unix.SockFilter{
		0:  {Code: loadHalf, K: atType},
		1:  {Code: jumpIfEqual, K: kind(unix.RTM_NEWROUTE), Jt: 13},
		2:  {Code: jumpIfEqual, K: kind(unix.RTM_DELROUTE), Jt: 5},
		3:  {Code: jumpIfEqual, K: kind(unix.RTM_NEWNEXTHOP), Jt: 6},
		4:  {Code: jumpIfEqual, K: kind(unix.RTM_DELNEXTHOP), Jt: 5},
		5:  {Code: jumpIfEqual, K: kind(unix.RTM_NEWNEIGH), Jt: 11},
		6:  {Code: jumpIfEqual, K: kind(unix.RTM_DELNEIGH), Jt: 10},
		7:  {Code: returnConst, K: accept},
		8:  {Code: loadByte, K: atProtocol},
		9:  {Code: jumpIfEqual, K: Protocol, Jt: 2, Jf: 5},
		10: {Code: loadByte, K: atNHProtocol},
		11: {Code: jumpIfEqual, K: Protocol, Jf: 3},
		12: {Code: loadWord, K: atPort},
		13: {Code: jumpIfEqual, K: binary.BigEndian.Uint32(port), Jt: 1},
		14: {Code: jumpIfEqual, K: 0, Jf: 1},
		15: {Code: returnConst, K: drop},
		16: {Code: returnConst, K: accept},
		17: {Code: loadByte, K: atFamily},
		18: {Code: jumpIfEqual, K: unix.AF_INET6, Jt: 1},
		19: {Code: returnConst, K: drop},
		20: {Code: returnConst, K: accept},
	}
}

// attach puts a filter in front of the socket.
func (c *conn) attach(filter []unix.SockFilter) error {
	var failure error
	err := c.raw.Control(func(fd uintptr) {
		program := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		failure = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return fmt.Errorf("filtering news of routes: %w", err)
	}
	return nil
}
