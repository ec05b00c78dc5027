package lab

import "testing"

func TestX(t *testing.T) {
	top := Talk()
	if err := top.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, n := range top.Nodes {
		z, b, err := top.frr(n)
		t.Log(n.Name, err, "\n"+z+"\n"+b)
	}
}
