package bgp

import "testing"

// Every code that is assigned has a name.
func TestNotificationText(t *testing.T) {
	for n, want := range map[[2]uint8]string{
		{errCease, subCollision}:   "code 6(cease) subcode 7(connection collision resolution)",
		{errCease, 9}:              "code 6(cease) subcode 9(Hard Reset)",
		{errCease, uint8(BFDDown)}: "code 6(cease) subcode 10(BFD Down)",
		{errOpen, subBadPeerAS}:    "code 2(open) subcode 2(bad peer as)",
	} {
		if got := (received{&notification{code: n[0], subcode: n[1]}}).Error(); got != "notification received: "+want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
