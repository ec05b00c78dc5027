// Package uplink puts our programs on a server's uplinks: the repair of mis-typed frames ([lastmile/bpf/etherfix]) and the BFD
// watchdog ([lastmile/bpf/bfdwatch]). An interface has one place for an XDP program, so both are one program, and constants
// that are set when it is loaded say which part is on.
//
// Programs are held by links that are pinned in a bpf file system: they outlive the process, and the next one replaces the
// program under way, so that no frame goes unrepaired. A program of somebody else is never replaced.
//
//	/sys/fs/bpf/hostagent/            root of the pins
//	    4026531840/                   inode of the network namespace
//	        sessions, events          of the BFD watchdog
//	        eth0/counters
//	        eth0/native               the link; its name is the mode
//
// Some drivers reset their queues when a program is attached, so attach before there are sessions that would notice.
//
// A network namespace is that of the calling thread, in [Open] and in [Hooks.Attach].
package uplink

//go:generate go tool bpf2go -cc clang-14 -tags linux -target bpfel,bpfeb -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -Wno-unused-function -mcpu=v3" object ../uplink.bpf.c
