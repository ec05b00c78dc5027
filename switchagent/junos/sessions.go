package junos

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Session is a BGP session of the switch, whoever configured it.
type Session struct {
	Peer  netip.Addr // with the logical interface as zone where Junos says it: from 21.1R1, not always
	State string     // Idle, Connect, Active, OpenSent, OpenConfirm or Established
	Flaps int        // how often it has gone down
	// Elapsed is for how long it has been in its state, in whole seconds; negative if the switch does
	// not tell.
	Elapsed time.Duration
	// Received and Accepted are how many prefixes of all families the peer has announced, and
	// how many of them the import policies have accepted. The switch keeps the others hidden.
	Received, Accepted int
}

// Established says that it is up. Down says less: a state in unknown words is neither.
func (s Session) Established() bool {
	return strings.EqualFold(s.State, "established") || strings.EqualFold(s.State, "establ")
}

// Down says that no routes flow. Of a state in words that are not known that is not known.
func (s Session) Down() bool {
	return slices.Contains([]string{"idle", "connect", "active", "opensent", "openconfirm"}, strings.ToLower(s.State))
}

// Sessions reads the BGP sessions (get-bgp-summary-information, "show bgp summary"). A switch
// where BGP does not run answers without a table: no sessions, no error. A table that is shorter than
// it says is ErrTruncated, and one with a session whose peer cannot be read is an error unless that is
// down: what is not known of a session must not look as if it were not there.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	var table sessionTable
	_, err := c.call(ctx, netconf.Call{Body: "<get-bgp-summary-information/>", Elements: elements{
		"bgp-information": table.begin, "peer-count": table.count, "bgp-peer": table.peer,
	}})
	if err == nil {
		table.end()
		err = table.err
	}
	if err != nil {
		return nil, err
	}
	return table.sessions, nil
}

// sessionTable collects the peers of a reply, which has a table for each routing engine.
type sessionTable struct {
	sessions    []Session
	says, peers int // of this engine's table
	err         error
}

func (t *sessionTable) begin(func(any) error) error {
	t.end()
	t.says, t.peers = 0, 0
	return nil
}

func (t *sessionTable) count(decode func(any) error) error {
	var says text
	err := decode(&says)
	t.says = says.number()
	return err
}

func (t *sessionTable) end() {
	if t.peers < t.says && t.err == nil {
		t.err = fmt.Errorf("bgp sessions: %w: peer-count is %d, %d peers came", ErrTruncated, t.says, t.peers)
	}
}

func (t *sessionTable) peer(decode func(any) error) error {
	var peer struct {
		Address text `xml:"peer-address"`
		State   text `xml:"peer-state"`
		Flaps   text `xml:"flap-count"`
		Elapsed struct {
			Seconds string `xml:"seconds,attr"`
		} `xml:"elapsed-time"`
		Tables []struct {
			Received text `xml:"received-prefix-count"`
			Accepted text `xml:"accepted-prefix-count"`
		} `xml:"bgp-rib"`
	}
	if err := decode(&peer); err != nil {
		return err
	}
	t.peers++
	s := Session{State: string(peer.State), Flaps: peer.Flaps.number(), Elapsed: -1}
	var known bool
	if s.Peer, known = peer.Address.addr(); !known {
		if !s.Down() && t.err == nil {
			t.err = fmt.Errorf("bgp sessions: peer %q is no address, and its session is %q", peer.Address, peer.State)
		}
		return nil
	}
	if n, err := strconv.ParseUint(peer.Elapsed.Seconds, 10, 31); err == nil {
		s.Elapsed = time.Duration(n) * time.Second
	}
	for _, table := range peer.Tables {
		s.Received += table.Received.number()
		s.Accepted += table.Accepted.number()
	}
	t.sessions = append(t.sessions, s)
	return nil
}
