package main

import "time"

// wait is one for a processor: from when a thread was to run until it did.
type wait struct{ From, To time.Duration }

// floor is what lab reads: see its type there. In milliseconds.
type floor struct {
	One float64 `json:"oneMs"` // the longest wait for one certain processor
	All float64 `json:"allMs"` // the longest time in which none could be had
}

// sum takes the waits for each processor, each in order.
func sum(of [][]wait) floor {
	var f floor
	common := of[0]
	for i, waits := range of {
		f.One = max(f.One, longest(waits))
		if i > 0 {
			common = both(common, waits)
		}
	}
	f.All = longest(common)
	return f
}

func longest(waits []wait) (ms float64) {
	for _, w := range waits {
		ms = max(ms, 1000*(w.To-w.From).Seconds())
	}
	return ms
}

// both returns the times that are in a and in b.
func both(a, b []wait) (common []wait) {
	for len(a) > 0 && len(b) > 0 {
		w := wait{max(a[0].From, b[0].From), min(a[0].To, b[0].To)}
		if w.From < w.To {
			common = append(common, w)
		}
		if a[0].To < b[0].To {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return common
}
