package rib_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lastmile/hostagent/rib"
)

// tags reads entries of a rule.
func tags(texts ...string) []rib.Tags {
	all := make([]rib.Tags, len(texts))
	for i, text := range texts {
		if err := all[i].UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
	}
	return all
}

func TestTagsText(t *testing.T) {
	const (
		form  = "a community is wanted, such as 65001:7, 64512:1:7 or no-export, or several with spaces between them"
		kinds = ` is not a community: two numbers up to 65535 (65001:7), three up to 4294967295 (64512:1:7) or one of internet, graceful-shutdown, `
	)
	tests := []struct{ text, want, problem string }{
		{"65001:7", "{[4259905543] []}", ""},
		{" 65535:65535\t0:0 ", "{[4294967295 0] []}", ""},
		{"graceful-shutdown no-export", "{[4294901760 4294967041] []}", ""},
		{"64512:1:4294967295 1:2", "{[65538] [[64512 1 4294967295]]}", ""},
		{"", "", form},
		{"65536:1", "", `"65536:1"` + kinds},
		{"1:4294967296:1", "", `"1:4294967296:1"` + kinds},
		{"1:2 nonsense", "", `"nonsense"` + kinds},
		{"7", "", `"7"` + kinds},
		{"1:2:3:4", "", `"1:2:3:4"` + kinds},
		{"1:", "", `"1:"` + kinds},
		{"-1:1", "", `"-1:1"` + kinds},
	}
	for _, tt := range tests {
		var got rib.Tags
		err := got.UnmarshalText([]byte(tt.text))
		if tt.problem != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.problem) {
				t.Errorf("%q: %v, want %s", tt.text, err, tt.problem)
			}
		} else if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%q is %v (%v), want %s", tt.text, got, err, tt.want)
		}
	}
}

func FuzzTagsText(f *testing.F) {
	f.Add("65001:7 64512:1:7")
	f.Add("no-export")
	f.Fuzz(func(t *testing.T, text string) {
		var tags, again rib.Tags
		if tags.UnmarshalText([]byte(text)) != nil {
			return
		}
		p := rib.Path{Communities: tags.Standard, LargeCommunities: tags.Large}
		texts := append(p.CommunityTexts(), p.LargeCommunityTexts()...)
		if err := again.UnmarshalText([]byte(strings.Join(texts, " "))); err != nil {
			t.Fatalf("%q is shown as %q: %v", text, texts, err)
		}
		for _, c := range tags.Standard {
			if !slices.Contains(again.Standard, c) {
				t.Errorf("%q is shown as %q", text, texts)
			}
		}
	})
}

func TestPathTexts(t *testing.T) {
	p := rib.Path{
		ASPath: []uint32{65001, 64512, 64513, 1, 2, 4200000000}, Sets: [][2]int{{1, 3}, {3, 4}},
		Communities: []uint32{0xffff0000, 65001<<16 | 7, 7}, LargeCommunities: [][3]uint32{{64512, 2, 1}, {64512, 1, 7}, {64512, 2, 1}},
	}
	for _, tt := range [][2]string{
		{p.ASPathText(), "65001 {64512,64513} {1} 2 4200000000"},
		{strings.Join(p.CommunityTexts(), " "), "0:7 65001:7 graceful-shutdown"},
		{strings.Join(p.LargeCommunityTexts(), " "), "64512:1:7 64512:2:1"},
		{(&rib.Path{}).ASPathText(), ""},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%q, want %q", tt[0], tt[1])
		}
	}
}
