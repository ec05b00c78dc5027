package junos_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stance is what a leaf may think of a server, as one commit writes it.
type stance struct {
	name, policy string
	accepted     []string // of what the server of newFlips announces
}

// stances are those that an agent goes through when a port is listed, quarantined, taken out of its
// inventory and put back, and those that an operator may write.
func stances(own string) []stance {
	filter := func(prefix string) string {
		return "<from><route-filter><address>" + prefix + "</address><exact/></route-filter></from>"
	}
	return []stance{
		{"listed", "<term><name>own</name>" + filter(own) + "<then><accept/></then></term><then><reject/></then>", []string{own}},
		{"nothing", "<then><reject/></then>", nil},
		{"all but own", "<term><name>own</name>" + filter(own) + "<then><reject/></then></term><then><accept/></then>", []string{other}},
	}
}

const other = "10.9.9.9/32"

// flips loads a stance as each way to load writes it: the policy comes in place of the one before.
var flips = map[string]func(policy, neighbor string) string{
	"merge": func(policy, neighbor string) string {
		return loadXML("merge", "<policy-options>"+`<policy-statement delete="delete"><name>bms1</name></policy-statement>`+
			"<policy-statement><name>bms1</name>"+policy+"</policy-statement></policy-options>"+group(neighbor))
	},
	"replace": func(policy, neighbor string) string {
		return loadXML("replace", `<policy-options><policy-statement replace="replace"><name>bms1</name>`+
			policy+"</policy-statement></policy-options>"+group(neighbor))
	},
	"update": func(policy, neighbor string) string {
		return loadXML("update", "<policy-options><policy-statement><name>bms1</name>"+policy+"</policy-statement></policy-options>"+group(neighbor))
	},
}

var routeMaps = regexp.MustCompile(`(?ms)^(?:ip prefix-list [^\n]*|route-map bms1:in:.*?^exit)$`)

// TestPolicyFlips goes from every stance to every other, and looks what FRR has accepted and that its
// route-map is the one that it had in that stance before: FRR knows an entry by its number alone, whatever it does.
func TestPolicyFlips(t *testing.T) {
	t.Parallel()
	for how, load := range flips {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l, servers := newLeaf(t, 1, nil)
			s := servers[0]
			if err := s.ns.AddAddress("lo", other); err != nil {
				t.Fatal(err)
			}
			neighbor := strings.Replace(s.stanza(), "</neighbor>", "<import>bms1</import></neighbor>", 1)
			written := map[string][]string{}
			all := stances(s.route)
			for _, i := range tour(len(all)) {
				to := all[i]
				mustHold(t, l.session, openEphemeral, "</rpc-reply>")
				mustHold(t, l.session, load(to.policy, neighbor), "<ok/>")
				mustHold(t, l.session, commit, "<ok/>")
				mustHold(t, l.session, closeOpen, "</rpc-reply>")
				hears(t, l.router, to.accepted...)
				running, err := l.router.Vtysh(t.Context(), "show running-config")
				if err != nil {
					t.Fatal(err)
				}
				now := routeMaps.FindAllString(string(running), -1)
				slices.Sort(now)
				if written[to.name] == nil {
					written[to.name] = now
				}
				if diff := cmp.Diff(written[to.name], now); diff != "" {
					t.Errorf("%s (-before +now):\n%s", to.name, diff)
				}
				if t.Failed() {
					t.Fatalf("%s, with %s", to.name, strings.Join(now, "\n"))
				}
			}
			if fails := l.device.Stats().RouterFails; fails != 0 {
				t.Errorf("FRR refused something in %d commits", fails)
			}
		})
	}
}

// tour visits n places so that it goes from each of them to each other once.
func tour(n int) (out []int) {
	for i := range n {
		for j := i + 1; j < n; j++ {
			out = append(out, i, j)
		}
	}
	return append(out, 0)
}
