package lab

import (
	"os"
	"strings"
	"time"
)

// An Occasion is when a bench ran, and what else the machine had to do.
type Occasion struct {
	Started time.Time `json:"started"`
	Load    [2]string `json:"loadAverage"` // of the machine, of one minute, before and after
}

func begin() Occasion {
	return Occasion{Started: time.Now(), Load: [2]string{loadAverage()}}
}

func (o *Occasion) end() { o.Load[1] = loadAverage() }

// loadAverage is the machine's own figure: who else was at work.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
