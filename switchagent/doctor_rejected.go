package switchagent

import (
	"context"
	"fmt"
	"slices"

	"lastmile/switchagent/junos"
)

// rejected tries whether the leaf names what it rejects, with any server that has a session: of nobody it may say
// nothing.
func (d *doctor) rejected(ctx context.Context) {
	const check = "rejected prefixes"
	sessions, err := d.client.Sessions(ctx)
	if err != nil { // which is a fault of another check
		d.add(check, StatusSkipped, "")
		return
	}
	i := slices.IndexFunc(sessions, func(s junos.Session) bool { return s.Established() && s.Peer.IsLinkLocalUnicast() })
	if i < 0 {
		d.add(check, StatusOK, "not tried: no server has a session")
		return
	}
	if _, err := d.client.Hidden(ctx, sessions[i].Peer); err != nil {
		d.add(check, StatusWarning, fmt.Sprintf("they are counted and not named: %v", err), d.ofClass(ctx, []string{"permissions view"})...)
		return
	}
	d.add(check, StatusOK, "the leaf tells which they are")
}
