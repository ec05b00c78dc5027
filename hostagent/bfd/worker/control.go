package worker

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// control is the worker's end of the conversation with hostagent.
type control struct {
	listener int
	client   int           // -1 while the worker is alone
	pid      uint32        // of the client
	full     bool          // the client's socket had no room for news
	deaf     time.Duration // until when nobody is let in; 0: whoever comes
}

// deafTime is how long nobody is let in when one who came could not be. He is
// still there, and the loop, which goes before everybody, would do nothing else.
const deafTime = time.Second

func (w *worker) alone() bool { return w.control.client < 0 }

// accept lets a client in, unless there is one.
func (w *worker) accept() {
	fd, _, err := unix.Accept4(w.control.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
		return // it has gone again
	case err != nil:
		w.log.Error("BFD worker cannot let hostagent in, and tries again", "after", deafTime, "err", err)
		w.listen(0)
		w.control.deaf = monotonic() + deafTime
		return
	}
	pid, err := peer(fd)
	if err != nil {
		w.log.Warn("BFD worker refuses a connection", "err", err)
		unix.Close(fd)
		return
	}
	if !w.alone() {
		w.hear() // that the old one is gone may not have been noticed yet
	}
	if !w.alone() {
		_ = unix.Sendto(fd, encode(nil, &busy{kindBusy, w.control.pid}), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		unix.Close(fd)
		return
	}
	if err := w.register(fd, unix.EPOLLIN, w.hear); err != nil {
		w.log.Error("BFD worker cannot serve hostagent", "err", err)
		unix.Close(fd)
		return
	}
	w.stay()
	w.control.client, w.control.pid, w.control.full = fd, pid, false
	w.log.Info("BFD worker serves hostagent", "client", pid, "sessions", len(w.sessions))
	w.send(&hello{
		Kind: kindHello, Version: protocol, PID: uint32(os.Getpid()),
		Scheduling: w.status.Scheduling, Locked: w.status.LockedMemory, Reason: textOf(reason(w.status.Reason)),
	})
}

// relisten returns when somebody can be let in again, after who came last could
// not be.
func (w *worker) relisten(now time.Duration) time.Duration {
	switch {
	case w.control.deaf == 0:
		return bfd.Never
	case now < w.control.deaf:
		return w.control.deaf
	}
	w.control.deaf = 0
	w.listen(unix.EPOLLIN)
	return bfd.Never
}

// listen says what to be called for about the listener.
func (w *worker) listen(events uint32) {
	fd := w.control.listener
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		w.log.Error("BFD worker cannot heed its socket", "err", err)
	}
}

// reason is a text that is an error.
type reason string

func (r reason) Error() string { return string(r) }

// hear obeys what the client has sent.
func (w *worker) hear() {
	for !w.alone() {
		n, rights, flags, _, err := unix.Recvmsg(w.control.client, w.message[:], w.oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return
		case err != nil || n == 0 || flags&unix.MSG_TRUNC != 0:
			w.part(err)
			return
		}
		w.obey(w.message[:n], w.oob[:rights])
	}
}

// part goes on without the client that has left.
func (w *worker) part(err error) {
	if w.alone() {
		return
	}
	w.unregister(w.control.client)
	w.control.client = -1
	if !w.leaving {
		w.deadline = monotonic() + w.orphan
		w.log.Warn("hostagent is gone, its BFD sessions are kept", "for", w.orphan, "sessions", len(w.sessions), "err", err)
	}
}

// obey carries out one order.
func (w *worker) obey(b, rights []byte) {
	now := monotonic()
	var o order
	if kind(b[0]) == kindStop {
		w.log.Info("BFD worker ends: hostagent stops")
		w.leave(now)
		w.part(nil) // which is the answer: all peers were told
		return
	}
	if err := decode(b, &o); err != nil {
		w.part(err)
		return
	}
	var err error
	switch o.Kind {
	case kindWatch:
		var order watch
		if err = decode(b, &order); err == nil {
			err = w.watch(order, now)
		}
	case kindUnwatch:
		var order unwatch
		if err = decode(b, &order); err == nil {
			w.unwatch(order.key, now)
		}
	case kindList:
		w.list(o.ID)
	case kindWatchdog:
		err = w.takeWatchdog(descriptors(rights))
		rights = nil
	default:
		err = errUnknownOrder
	}
	closeAll(descriptors(rights))
	w.send(&answer{order{kindAnswer, o.ID}, textOf(err)})
}

var errUnknownOrder = errors.New("the BFD worker does not know this order")

// closeAll closes descriptors that came with an order that has no use for them.
func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// descriptors are those that came with an order.
func descriptors(rights []byte) (all []int) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

func (w *worker) unwatch(k key, now time.Duration) {
	if s := w.find(k); s != nil {
		s.leave(now)
	}
}

func (w *worker) list(id uint32) {
	for _, s := range w.sessions {
		if s.leaving {
			continue
		}
		w.describe(s, id)
		w.send(&w.report)
	}
}

// describe makes the report of a session.
func (w *worker) describe(s *session, id uint32) {
	s.report(id, w.moves, &w.report)
	w.report.Mover = Mover(w.rescue.mover.Load())
}

// tell sends the client the sessions that have changed. If its socket is full,
// it hears of them when it has read: of each how it is then.
func (w *worker) tell() {
	if w.alone() || w.control.full {
		return
	}
	for _, s := range w.sessions {
		if !s.unreported {
			continue
		}
		w.describe(s, 0)
		switch err := w.write(&w.report); {
		case errors.Is(err, unix.EAGAIN):
			w.awaitRoom(true)
			return
		case err != nil:
			w.part(err)
			return
		}
		s.unreported, s.fresh = false, false
	}
}

// awaitRoom says whether to call when the client's socket has room again.
func (w *worker) awaitRoom(wanted bool) {
	events := uint32(unix.EPOLLIN)
	ready := w.hear
	if wanted {
		events |= unix.EPOLLOUT
		ready = func() { w.awaitRoom(false); w.hear() }
	}
	fd := w.control.client
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		w.part(err)
		return
	}
	w.sources[int32(fd)] = ready
	w.control.full = wanted
}

// send sends what the client waits for. One that asks and does not read is
// left: it may come back.
func (w *worker) send(message any) {
	if w.alone() {
		return
	}
	if err := w.write(message); err != nil {
		w.part(err)
	}
}

func (w *worker) write(message any) error {
	return unix.Sendto(w.control.client, encode(w.message[:0], message), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}
