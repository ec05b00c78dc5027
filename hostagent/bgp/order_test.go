package bgp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// permutations calls do with every order of the attributes.
func permutations(attributes [][]byte, do func([][]byte)) {
	var fix func(n int)
	fix = func(n int) {
		if n == len(attributes) {
			do(attributes)
			return
		}
		for i := n; i < len(attributes); i++ {
			attributes[n], attributes[i] = attributes[i], attributes[n]
			fix(n + 1)
			attributes[n], attributes[i] = attributes[i], attributes[n]
		}
	}
	fix(0)
}

// Attributes mean the same in every order, and wherever they are cut off
// nothing is announced that the whole would not announce.
func TestEveryOrderAndEveryEnd(t *testing.T) {
	path2 := attr(wk, 2, 2, 2, "\xfd\xe9\x5b\xa0")    // 65001 AS_TRANS
	path4 := attr(pass, 17, 2, 1, "\x00\x01\x00\x00") // 65536
	med, communities := attr(opt, 4, 0, 0, 0, 7), attr(pass, 8, "\xff\xff\x00\x00")
	for name, test := range map[string]struct {
		attributes [][]byte
		old        bool
	}{
		"AS numbers of 4 bytes": {attributes: [][]byte{origin, as65001, nextHop, med, communities, reach6, unreach6}},
		"of 2 bytes":            {[][]byte{origin, path2, nextHop, med, communities, reach6, path4}, true},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := peerOpen()
			theirs.fourOctetAS = !test.old
			decode := func(body []byte) (Update, fault, error) {
				d := newDecoder(theirs)
				return d.decode(body)
			}
			want, fault, err := decode(updateBody(net8, test.attributes, net10))
			if err != nil || fault != none || len(want.Announced) != 2 {
				t.Fatalf("%+v, %+v, %v", want, fault, err)
			}
			orders, cuts := 0, 0
			permutations(test.attributes, func(attributes [][]byte) {
				orders++
				got, fault, err := decode(updateBody(net8, attributes, net10))
				if err != nil || fault != none || !cmp.Equal(got, want, compare) {
					t.Fatalf("%x: %+v, %+v, %v", attributes, got, fault, err)
				}
				if orders%16 != 1 {
					return // to cut them all takes a minute
				}
				all, whole := bytes.Join(attributes, nil), updateBody(net8, attributes, net10)
				for end := range whole {
					cuts++
					checkCut(t, decode, whole[:end:end], want)
					// The same with the lengths corrected.
					checkCut(t, decode, updateBody(net8, [][]byte{all[:min(end, len(all))]}, net10), want)
				}
			})
			t.Logf("%d orders, %d cuts", orders, cuts)
		})
	}
}

// checkCut checks what an UPDATE with less in it than it should have comes to.
func checkCut(t *testing.T, decode func([]byte) (Update, fault, error), body []byte, whole Update) {
	t.Helper()
	u, fault, err := decode(body)
	var n *notification
	switch {
	case err != nil:
		if !errors.As(err, &n) || n.code != errUpdate {
			t.Fatalf("%x: %v", body, err)
		}
		return
	case fault.action == treatAsWithdrawal && len(u.Announced) > 0:
		t.Fatalf("%x: announced in spite of %s", body, fault.why)
	}
	for _, r := range u.Announced {
		if !slices.ContainsFunc(whole.Announced, func(w Route) bool { return w.Prefix == r.Prefix }) || r.Origin != 0 || r.ASPath[0] != 65001 {
			t.Fatalf("%x: %+v", body, r)
		}
	}
}
