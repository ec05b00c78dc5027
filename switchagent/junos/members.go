package junos

import (
	"context"
	"fmt"

	"lastmile/switchagent/netconf"
)

// Member is a session and the group that its peer is in; "" if the switch does not say.
type Member struct {
	Session
	Group string
}

// Members reads the sessions with their groups (get-bgp-neighbor-information, "show bgp neighbor"), which
// is a much longer reply than that of Sessions. A peer whose address cannot be read is an error.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var all []Member
	_, err := c.call(ctx, netconf.Call{Body: "<get-bgp-neighbor-information/>", Elements: elements{
		"bgp-peer": func(decode func(any) error) error {
			var peer struct {
				Address text `xml:"peer-address"`
				Group   text `xml:"peer-group"`
				State   text `xml:"peer-state"`
			}
			if err := decode(&peer); err != nil {
				return err
			}
			addr, ok := peer.Address.addr()
			if !ok {
				return fmt.Errorf("bgp peer %q is no address", peer.Address)
			}
			all = append(all, Member{Session{Peer: addr, State: string(peer.State), Elapsed: -1}, string(peer.Group)})
			return nil
		},
	}})
	if err != nil {
		return nil, err
	}
	return all, nil
}
