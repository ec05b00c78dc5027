package lab

import (
	"slices"
)

// Stats summarises measurements, in the unit of the samples.
type Stats struct {
	Samples []float64 `json:"samples"` // in the order they were taken
	Median  float64   `json:"median"`
	Worst   float64   `json:"worst"`
	Best    float64   `json:"best"`
	// Spread is the distance between the quartiles: half of the samples lie
	// within it.
	Spread float64 `json:"spread"`
}

func summarise(samples []float64) Stats {
	if len(samples) == 0 {
		return Stats{}
	}
	s := slices.Sorted(slices.Values(samples))
	return Stats{
		Samples: samples,
		Median:  quantile(s, 0.5),
		Worst:   s[len(s)-1],
		Best:    s[0],
		Spread:  quantile(s, 0.75) - quantile(s, 0.25),
	}
}

// quantile interpolates between the two samples that are nearest; sorted must
// not be empty.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
