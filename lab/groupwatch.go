package lab

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

// A groupWatch notes when the next-hop groups of a namespace ceased to hold
// any next hop over one device. It waits for the kernel's news on a thread of
// its own: the runtime's poller may be late by milliseconds.
type groupWatch struct {
	fd     int
	all    map[uint32]nextHopObject
	device int
	clean  chan time.Time // when no group held it any more, once
	ended  atomic.Bool
}

// watchGroups begins to watch. ok is false if no group holds the device.
func watchGroups(ns *netns.NS, v *kernelView, device int) (w *groupWatch, ok bool, err error) {
	w = &groupWatch{device: device, clean: make(chan time.Time, 1)}
	err = ns.Do(func() error {
		const flags = unix.SOCK_RAW | unix.SOCK_CLOEXEC
		if w.fd, err = unix.Socket(unix.AF_NETLINK, flags, unix.NETLINK_ROUTE); err != nil {
			return err
		}
		tick := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
		return errors.Join(
			unix.Bind(w.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_NEXTHOP - 1)}),
			unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick))
	})
	if err != nil {
		return nil, false, fmt.Errorf("%s: watching next-hop objects: %w", ns.Name, err)
	}
	if w.all, err = v.objects(); err != nil || !w.held() {
		unix.Close(w.fd)
		return nil, false, err
	}
	go w.run()
	return w, true, nil
}

func (w *groupWatch) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.Close(w.fd)
	buf := make([]byte, 64<<10)
	for !w.ended.Load() {
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		now := time.Now()
		if err != nil {
			continue // the timeout
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			w.apply(m)
		}
		if !w.held() {
			w.clean <- now
			return
		}
	}
}

func (w *groupWatch) apply(m syscall.NetlinkMessage) {
	o := parseNextHop(m.Data)
	switch m.Header.Type {
	case unix.RTM_NEWNEXTHOP:
		w.all[o.id] = o
	case unix.RTM_DELNEXTHOP:
		delete(w.all, o.id)
	}
}

// held says if a group holds a next hop over the device.
func (w *groupWatch) held() bool {
	for _, o := range w.all {
		for _, m := range o.members {
			if w.all[m].device == w.device {
				return true
			}
		}
	}
	return false
}

func (w *groupWatch) close() { w.ended.Store(true) }
