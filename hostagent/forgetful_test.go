package hostagent_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// remind takes the port of a leaf down and up once more if its FRR has forgotten
// the server for good: bgpd 8.4.4 hears zebra on two connections, and may read of
// a port that is down on one after it has read of the neighbour on the other.
func (s *server) remind(t *testing.T, leaf int) {
	t.Helper()
	for began, flaps := time.Now(), 0; s.forgotten(t, leaf); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) < 6*time.Second { // by then it has heard four advertisements
			continue
		}
		if flaps++; flaps > 3 {
			t.Fatalf("leaf%d has no address of the server after %d more flaps", leaf+1, flaps)
		}
		t.Logf("leaf%d has forgotten the server", leaf+1)
		if err := errors.Join(s.leaves[leaf].SetDown("swp1"), s.leaves[leaf].SetUp("swp1")); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
	}
}

// forgotten says if the leaf's bgpd has no address of the server.
func (s *server) forgotten(t *testing.T, leaf int) bool {
	t.Helper()
	out, err := s.frr[leaf].Vtysh(t.Context(), "show bgp neighbors swp1 json")
	if err != nil {
		t.Fatal(err)
	}
	var neighbors map[string]struct{ BGPNeighborAddr string }
	if err := json.Unmarshal(out, &neighbors); err != nil || neighbors["swp1"].BGPNeighborAddr == "" {
		t.Fatalf("%v: %s", err, out)
	}
	return neighbors["swp1"].BGPNeighborAddr == "none"
}
