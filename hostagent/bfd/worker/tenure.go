package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// A tenure is the time with one worker. Its state belongs to serve.
type tenure struct {
	client *Client
	conn   *net.UnixConn

	has       map[key]*entry // what the worker has, or was asked to have
	listed    bool           // what it had when we came is known
	unclaimed bool           // what nobody wanted of that has to go
	lastID    uint32
	watched   map[uint32]key // orders that are not answered
	asked     []*question    // lists that are not complete, in order
	awaited   uint32         // the first of them at the last tick
	missed    int            // ticks since, with no end of it

	maps   *maps  // that the worker has, or was sent
	mapsID uint32 // of the order that sent them
}

// entry is a session of the worker.
type entry struct {
	peer    netip.Addr // with the link as its zone
	ordered watch      // by us; zero if it was there before, or was refused
	refusal text       // of the last order
	ours    bool       // it was ordered by us, or by one who is gone and wanted by us
}

// question is a list that was asked for.
type question struct {
	id    uint32
	reply chan []Session // nil: the first one, for ourselves
	got   []Session
}

// serve works with a worker until it is lost, or ctx ends and it has ended.
func (c *Client) serve(ctx context.Context, conn *net.UnixConn) error {
	t := &tenure{client: c, conn: conn, has: map[key]*entry{}, watched: map[uint32]key{}}
	defer conn.Close()
	messages := make(chan []byte)
	quit := make(chan struct{})
	broken := make(chan error, 1)
	go func() { broken <- read(conn, messages, quit) }()
	err := t.work(ctx, messages, broken)
	close(quit)
	t.forget()
	if err != nil || ctx.Err() == nil {
		return err
	}
	// The reader's place is taken by end.
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		return err
	}
	<-broken
	return c.end(conn)
}

// retryTime is how often an order is given that was refused: a link may have
// been made anew, another BFD daemon have ended.
const retryTime = 5 * time.Second

// work does what is ordered until the connection breaks or ctx ends: nil.
func (t *tenure) work(ctx context.Context, messages <-chan []byte, broken <-chan error) error {
	claim := time.NewTimer(t.client.cfg.Claim)
	defer claim.Stop()
	again := time.NewTicker(retryTime)
	defer again.Stop()
	err := t.ask(nil)
	if err == nil {
		err = t.sendMaps()
	}
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case err = <-broken:
		case b := <-messages:
			err = t.hear(b)
		case <-t.client.kick:
			if err = t.sendMaps(); err == nil {
				err = t.sync()
			}
		case <-again.C:
			if err = t.alive(); err == nil {
				err = t.sync()
			}
		case reply := <-t.client.asks:
			err = t.ask(reply)
		case <-claim.C:
			t.unclaimed = true
			err = t.sync()
		}
	}
	return err
}

// read hands over messages until the connection breaks.
func read(conn *net.UnixConn, messages chan<- []byte, quit <-chan struct{}) error {
	for {
		b := make([]byte, maxMessage)
		n, err := conn.Read(b)
		if n == 0 && err == nil {
			err = io.EOF
		}
		if err != nil {
			return err
		}
		select {
		case messages <- b[:n]:
		case <-quit:
			return net.ErrClosed
		}
	}
}

// hear takes a message of the worker.
func (t *tenure) hear(b []byte) error {
	switch kind(b[0]) {
	case kindSession:
		var r report
		if err := decode(b, &r); err != nil {
			return err
		}
		t.learn(&r)
	case kindAnswer:
		var a answer
		if err := decode(b, &a); err != nil {
			return err
		}
		return t.answered(&a)
	}
	return nil
}

// learn takes a session as it is, or a part of a list.
func (t *tenure) learn(r *report) {
	e := t.has[r.key]
	if e == nil {
		e = &entry{peer: r.addr().WithZone(r.Name.String())}
		t.has[r.key] = e
	}
	s := Session{Peer: e.peer, Known: true, Claimed: e.ours, Report: r.Report}
	if r.Failed != 0 {
		s.FailedAt = time.Now().Add(r.Failed - monotonic())
	}
	if r.ID == 0 {
		t.client.outbox.put(News{Session: s, Changed: r.Changed})
		return
	}
	for _, q := range t.asked {
		if q.id == r.ID {
			q.got = append(q.got, s)
		}
	}
}

// answered takes the answer to an order or the end of a list.
func (t *tenure) answered(a *answer) error {
	if len(t.asked) > 0 && t.asked[0].id == a.ID {
		q := t.asked[0]
		t.asked = t.asked[1:]
		if q.reply != nil {
			q.reply <- q.got
			return nil
		}
		for _, s := range q.got {
			t.client.outbox.put(News{Session: s})
		}
		t.listed = true
		return t.sync()
	}
	if a.ID == t.mapsID {
		t.client.watched(t.maps, a.Refusal)
		return nil
	}
	if k, ok := t.watched[a.ID]; ok {
		delete(t.watched, a.ID)
		t.settled(k, a.Refusal)
	}
	return nil
}

// settled takes the answer to a watch order.
func (t *tenure) settled(k key, refusal text) {
	e := t.has[k]
	if e == nil {
		return
	}
	if refusal != (text{}) {
		e.ordered = watch{}
		if refusal != e.refusal {
			err := fmt.Errorf("BFD peer %s: %s", e.peer, refusal)
			t.client.cfg.Log.Error("BFD session refused", "peer", e.peer, "err", err)
			t.client.outbox.put(News{Session: Session{Peer: e.peer, Claimed: true}, Err: err})
		}
	}
	e.refusal = refusal
}

// ask asks for all sessions.
func (t *tenure) ask(reply chan []Session) error {
	t.lastID++
	t.asked = append(t.asked, &question{id: t.lastID, reply: reply})
	return t.send(&order{Kind: kindList, ID: t.lastID})
}

// alive asks the worker for a sign of life, at each tick of retryTime, and is an error when one has been out for answerTime. It
// counts ticks: one of them may come before what the worker said while hostagent itself was stopped.
func (t *tenure) alive() error {
	if len(t.asked) == 0 {
		if err := t.ask(make(chan []Session, 1)); err != nil {
			return err
		}
	}
	if first := t.asked[0].id; first != t.awaited {
		t.awaited, t.missed = first, 0
		return nil
	}
	if t.missed++; time.Duration(t.missed)*retryTime >= answerTime {
		return fmt.Errorf("BFD worker does not answer: %w", os.ErrDeadlineExceeded)
	}
	return nil
}

// sync orders what should be and is not.
func (t *tenure) sync() error {
	if !t.listed {
		return nil
	}
	wanted := t.client.wanted()
	for k, e := range t.has {
		if _, ok := wanted[k]; ok || !e.ours && !t.unclaimed {
			continue
		}
		delete(t.has, k)
		if !e.ours {
			t.client.cfg.Log.Info("BFD session of an adopted worker dropped, nobody wants it", "peer", e.peer)
		}
		t.client.outbox.drop(e.peer)
		t.lastID++
		if err := t.send(&unwatch{order{kindUnwatch, t.lastID}, k}); err != nil {
			return err
		}
	}
	for k, w := range wanted {
		e := t.has[k]
		if e == nil {
			e = &entry{peer: k.addr().WithZone(w.Name.String())}
			t.has[k] = e
		}
		if e.ours && e.ordered == w {
			continue
		}
		e.ours, e.ordered = true, w
		t.lastID++
		w.ID = t.lastID
		t.watched[w.ID] = k
		if err := t.send(&w); err != nil {
			return err
		}
	}
	return nil
}

// sendTime is how long the worker may leave its socket full. It never does
// while it lives.
const sendTime = 2 * time.Second

func (t *tenure) send(message any) error { return send(t.conn, message) }

func send(conn *net.UnixConn, message any) error {
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, err := conn.Write(encode(nil, message))
	return err
}

// forget says of all sessions that nobody knows how they are.
func (t *tenure) forget() {
	for _, e := range t.has {
		t.client.outbox.put(News{Session: Session{Peer: e.peer, Claimed: e.ours}})
	}
	for _, q := range t.asked {
		if q.reply != nil {
			close(q.reply)
		}
	}
}

// endTime is how long the worker may take to tell every peer.
const endTime = 2 * time.Second

// end has the worker say AdminDown to its peers and end. It returns when all were
// told; the worker goes on to tell them for a while, in case that was lost.
func (c *Client) end(conn *net.UnixConn) error {
	defer conn.Close()
	err := send(conn, &stop{kindStop})
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(endTime))
	}
	for b := make([]byte, maxMessage); err == nil; {
		var n int
		if n, err = conn.Read(b); n == 0 {
			break // it has hung up
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("ending the BFD worker: no answer within %v", endTime)
	}
	return nil
}
