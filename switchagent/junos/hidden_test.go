package junos

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"lastmile/switchagent/netconf"
)

func route(destination, path string) string {
	return "<rt><rt-destination>" + destination + "</rt-destination><rt-entry><active-tag> </active-tag><protocol-name>BGP</protocol-name>" +
		"<nh><to>fe80::1</to></nh><as-path>" + path + "</as-path></rt-entry></rt>"
}

func routes(table string, all ...string) string {
	return "<route-table><table-name>\n" + table + "\n</table-name><hidden-route-count>9</hidden-route-count>" + strings.Join(all, "") + "</route-table>"
}

func received(tables ...string) string {
	return "<route-information>" + strings.Join(tables, "") + "</route-information>"
}

func TestHidden(t *testing.T) {
	detailed := "<rt><rt-destination>10.0.2.0</rt-destination><rt-prefix-length>24</rt-prefix-length><rt-entry>" +
		"<as-path>AS path: 64512 64513 I  (Looped: 64513)</as-path><as-path>1 I</as-path></rt-entry></rt>"
	used := "<rt><rt-destination>10.0.3.1/32</rt-destination><rt-entry><active-tag>*</active-tag><current-active/><as-path>64512 I</as-path></rt-entry></rt>"
	prefix := netip.MustParsePrefix
	for name, tt := range map[string]struct {
		reply string
		want  []Hidden
	}{
		"both families": {
			received(routes("inet.0", route("10.0.1.1/32", "64512 I"), route("0.0.0.0/0", "64512 ?")), routes("inet6.0", route("2001:DB8::1/128", "64512 64086.60005 E"))),
			[]Hidden{{prefix("10.0.1.1/32"), "64512"}, {prefix("0.0.0.0/0"), "64512"}, {prefix("2001:db8::1/128"), "64512 64086.60005"}},
		},
		"nothing":                  {received(routes("inet.0"), routes("inet6.0")), nil},
		"no table":                 {received(), nil},
		"an empty reply":           {"", nil},
		"other tables":             {received(routes("red.inet.0", route("10.0.1.1/32", "1 I")), routes("mpls.0", route("299824", "I")), routes("inet.0", route("10.0.1.2/32", "1 I"))), []Hidden{{prefix("10.0.1.2/32"), "1"}}},
		"no table's name":          {received("<route-table>" + route("10.0.1.1/32", "1 I") + "</route-table>"), nil},
		"two engines":              {"<a>" + received(routes("inet.0", route("10.0.1.1/32", "1 I"))) + "</a><b>" + received(routes("inet.0", route("10.0.1.1/32", "1 I"))) + "</b>", []Hidden{{prefix("10.0.1.1/32"), "1"}}},
		"the detailed form":        {received(routes("inet.0", detailed)), []Hidden{{prefix("10.0.2.0/24"), "64512 64513"}}},
		"hidden is not understood": {received(routes("inet.0", used, route("10.0.1.1/32", "1 I"))), []Hidden{{prefix("10.0.1.1/32"), "1"}}},
		"bits behind the length":   {received(routes("inet.0", route("10.0.1.1/24", "1 I"))), []Hidden{{prefix("10.0.1.0/24"), "1"}}},
		"no prefixes": {received(routes("inet.0", route("10.0.1.1/33", "1 I"), route("bms1", "1 I"), route("", "1 I"), route("::ffff:10.0.0.1/128", "1 I"),
			route("fe80::1%ge-0/0/1.0/128", "1 I"))), nil},
		"paths": {received(routes("inet.0", route("10.0.0.1/32", "64512 {65001 65002} I"), route("10.0.0.2/32", "I"), route("10.0.0.3/32", "64512 &lt;b&gt; 65001 I"),
			route("10.0.0.4/32", strings.Repeat("4200000101 ", 2000)+"I"), route("10.0.0.5/32", strings.Repeat("1", 300)))),
			[]Hidden{{prefix("10.0.0.1/32"), "64512 {65001 65002}"}, {prefix("10.0.0.2/32"), ""}, {prefix("10.0.0.3/32"), "64512"},
				{prefix("10.0.0.4/32"), strings.Repeat("4200000101 ", 23) + "..."}, {prefix("10.0.0.5/32"), "..."}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &device{t: t, replies: map[string][]string{"get-route-information": {tt.reply}}}
			got, err := d.client().Hidden(t.Context(), addr("fe80::1%ge-0/0/1.0"))
			check(t, tt.want, got, err)
			const want = "<get-route-information><receive-protocol-name>bgp</receive-protocol-name><peer>fe80::1%ge-0/0/1.0</peer><hidden/></get-route-information>"
			if len(d.asked) != 1 || d.asked[0] != want {
				t.Errorf("asked %q", d.asked)
			}
		})
	}
}

// TestHiddenIsBounded: of a whole table a part is kept, and the session goes on.
func TestHiddenIsBounded(t *testing.T) {
	var all []string
	for i := range 3 * MostHidden {
		all = append(all, route(fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255), "64512 I"))
	}
	client := one(t, map[string]string{"get-route-information": received(routes("inet.0", all...), routes("inet6.0", route("::/0", "1 I")))})
	got, err := client.Hidden(t.Context(), addr("10.0.0.1"))
	if err != nil || len(got) != MostHidden || got[MostHidden-1].Prefix.String() != "10.0.99.0/24" {
		t.Errorf("%d prefixes, %v", len(got), err)
	}
}

// TestHiddenOfWhom: what a switch calls a peer must not become a part of the question.
func TestHiddenOfWhom(t *testing.T) {
	for peer, asked := range map[string]bool{
		"fe80::1%ge-0/0/1.0": true, "fe80::1": true, "10.0.0.1": true, "fe80::1%irb.100": true, "fe80::1%ae0:1.0": true,
		"fe80::1%ge-0/0/1.0 | save": false, "fe80::1%</peer>": false, "fe80::1%a\nb": false, "fe80::1%&amp;": false,
	} {
		d := &device{t: t, replies: map[string][]string{"get-route-information": {received()}}}
		if _, err := d.client().Hidden(t.Context(), addr(peer)); (err == nil) != asked || (len(d.asked) == 1) != asked {
			t.Errorf("%q: %v, asked %q", peer, err, d.asked)
		} else if !asked && !strings.Contains(err.Error(), fmt.Sprintf("peer %q: only", peer)) {
			t.Errorf("%q: %v", peer, err)
		}
	}
}

func TestHiddenRefused(t *testing.T) {
	client := one(t, map[string]string{"get-route-information": refusal})
	if all, err := client.Hidden(t.Context(), addr("fe80::1")); err == nil || !strings.Contains(err.Error(), "permission denied") || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestHiddenOnACommandLine(t *testing.T) {
	command, err := commandFor(netconf.Call{Body: receivedFrom + "fe80::1%ge-0/0/1.0" + receivedEnd})
	if want := "show route receive-protocol bgp fe80::1%ge-0/0/1.0 hidden | display xml | no-more"; err != nil || command != want {
		t.Errorf("%q, %v", command, err)
	}
}

func TestASes(t *testing.T) {
	for path, want := range map[string][]uint32{
		"64512": {64512}, "64512 4200000101": {64512, 4200000101}, "64086.60005 1": {4200000101, 1}, "0.1": {1},
		"": nil, "64512 {1 2}": nil, "64512 ...": nil, "4294967296": nil, "65536.1": nil, "1.65536": nil, "1.2.3": nil, "[64512]": nil,
	} {
		got, plain := Hidden{Path: path}.ASes()
		if plain != (want != nil) {
			t.Errorf("%q: plain %v", path, plain)
		}
		check(t, want, got, nil)
	}
}

// FuzzHidden: whatever a switch answers, what comes out is whole prefixes, each once, few of them, and short paths.
func FuzzHidden(f *testing.F) {
	for _, seed := range []string{
		"", refusal, received(routes("inet.0", route("10.0.1.1/32", "64512 I")), routes("inet6.0", route("2001:db8::1/128", "AS path: 64512 {1 2} I"))),
		"<route-table><table-name>inet.0</table-name><rt><rt-destination>10.0.2.0</rt-destination><rt-prefix-length>24</rt-prefix-length></rt></route-table>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if reply == "lost" || strings.HasSuffix(reply, ".xml") {
			return // words of the test
		}
		all, err := one(t, map[string]string{"get-route-information": reply}).Hidden(t.Context(), addr("fe80::1%ge-0/0/1.0"))
		if err != nil && all != nil || len(all) > MostHidden {
			t.Fatalf("%d prefixes, %v", len(all), err)
		}
		seen := map[netip.Prefix]bool{}
		for _, h := range all {
			if !h.Prefix.IsValid() || h.Prefix != h.Prefix.Masked() || h.Prefix.Addr().Zone() != "" || seen[h.Prefix] {
				t.Errorf("prefix %v", h.Prefix)
			}
			seen[h.Prefix] = true
			if len(h.Path) > maxPathText+len(" ...") || strings.Trim(h.Path, "0123456789.,{}()[] ") != "" {
				t.Errorf("path %q", h.Path)
			}
			h.ASes()
		}
	})
}
