package bgp

import (
	"context"
	"fmt"
	"time"
)

const (
	// maxQueued is how many Updates wait for the reader of News: enough to keep
	// it busy. The others wait in the peers' TCP.
	maxQueued = 64
	feedEvery = time.Second // GoBGP's hold timer is one of 3 s or more
	logEvery  = time.Second
)

// A tap takes the UPDATEs out of what the leaf sends in a session, and makes
// Updates of them. GoBGP gets none: its hold timer is fed KEEPALIVEs in their
// place.
type tap struct {
	*connection
	decoder
	cfg       Config
	theirs    open
	machine   *machine
	announced *prefixSet // what the leaf announces now

	hungry *time.Ticker // when the machine is
	logged time.Time    // when an error in an UPDATE last was
	warned bool         // that the limit is near
}

// update is an Update on its way to Run's goroutine.
type update struct {
	*connection
	Update
}

func newTap(c *connection, theirs open, cfg Config) *tap {
	return &tap{connection: c, decoder: newDecoder(theirs), cfg: cfg, theirs: theirs, machine: c.attached,
		announced: newPrefixSet(), hungry: time.NewTicker(feedEvery)}
}

// take does what there is to do about an UPDATE. An error ends the session.
func (t *tap) take(ctx context.Context, m message) error {
	select {
	case <-t.hungry.C:
		t.feed()
	default:
	}
	u, f, err := t.decode(m.body())
	if err != nil {
		return err
	}
	if f.action != noAction {
		t.report(f, m)
	}
	if err := t.countPrefixes(u); err != nil {
		return err
	}
	if len(u.Announced) == 0 && len(u.Withdrawn) == 0 && !u.EndOfRIB {
		return nil
	}
	u.Peer = t.peer
	return t.deliver(ctx, u)
}

// feed tells GoBGP that the leaf is alive. That it is not to be told any more
// is for fromGoBGP to notice.
func (t *tap) feed() {
	_, _ = t.machine.tcp.Write(keepalive)
}

var keepalive = newMessage(typeKeepalive)

// deliver hands an Update to Run's goroutine as soon as that takes any. What
// the leaf sends meanwhile stays unread, its KEEPALIVEs too.
func (t *tap) deliver(ctx context.Context, u Update) error {
	for {
		select {
		case t.updates <- update{t.connection, u}:
			return nil
		case <-t.hungry.C:
			t.feed()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// countPrefixes keeps count of what the leaf announces, and the limit.
func (t *tap) countPrefixes(u Update) error {
	for _, p := range u.Withdrawn {
		t.announced.remove(p)
	}
	for _, r := range u.Announced {
		t.announced.add(r.Prefix)
	}
	size, most := t.announced.size, t.options.MaxPrefixes
	t.prefixes.Store(uint64(size))
	switch {
	case most == 0:
	case size > most:
		return &notification{code: errCease, subcode: subTooManyPrefixes,
			why: fmt.Sprintf("more than %d prefixes received", most)}
	case size*5 > most*4 && !t.warned:
		t.warned = true
		t.cfg.Log.Warn("peer announces almost as many prefixes as it may",
			"link", t.peer.Zone(), "peer", t.peer, "prefixes", size, "limit", most)
	}
	return nil
}

// report counts an UPDATE with an error, and logs it with all that is in it
// (RFC 7606 section 8), unless another has just been.
func (t *tap) report(f fault, m message) {
	t.malformed.Add(1)
	t.counters.malformed[f.action].Inc()
	if now := time.Now(); f.action == treatAsWithdrawal && now.Sub(t.logged) >= logEvery {
		t.logged = now
		t.cfg.Log.Warn("malformed update", "link", t.peer.Zone(), "peer", t.peer,
			"err", f.why, "action", f.action, "update", fmt.Sprintf("%x", []byte(m)))
	}
}
