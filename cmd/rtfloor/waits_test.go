package main

import (
	"slices"
	"testing"
	"time"
)

func TestBoth(t *testing.T) {
	for name, test := range map[string]struct{ a, b, want []wait }{
		"nothing":           {nil, nil, nil},
		"one alone":         {[]wait{{1, 2}}, nil, nil},
		"one after another": {[]wait{{1, 3}}, []wait{{3, 5}}, nil},
		"in part":           {[]wait{{1, 4}}, []wait{{3, 6}}, []wait{{3, 4}}},
		"one in another":    {[]wait{{1, 9}}, []wait{{2, 3}, {5, 7}}, []wait{{2, 3}, {5, 7}}},
		"a row":             {[]wait{{1, 4}, {5, 9}}, []wait{{3, 6}, {8, 10}}, []wait{{3, 4}, {5, 6}, {8, 9}}},
	} {
		for range 2 {
			if got := both(test.a, test.b); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
			test.a, test.b = test.b, test.a
		}
	}
}

func TestSum(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		of   [][]wait
		want floor
	}{
		"none waited":   {[][]wait{nil, nil}, floor{}},
		"one processor": {[][]wait{{{1 * ms, 4 * ms}}}, floor{One: 3, All: 3}},
		"by turns":      {[][]wait{{{1 * ms, 4 * ms}}, {{5 * ms, 25 * ms}}}, floor{One: 20, All: 0}},
		"three at once": {[][]wait{{{1 * ms, 9 * ms}}, {{2 * ms, 7 * ms}}, {{5 * ms, 8 * ms}}}, floor{One: 8, All: 2}},
	} {
		if got := sum(test.of); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
