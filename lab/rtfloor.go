package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// Floor is how long a thread with real-time priority had to wait for a processor,
// by cmd/rtfloor: what no daemon can do anything about. In milliseconds, 0 if it
// was less than half of one.
type Floor struct {
	One float64 `json:"oneMs"` // at worst, for one certain processor
	All float64 `json:"allMs"` // the longest time in which none could be had
}

// floor is a cmd/rtfloor that runs.
type floor struct {
	cmd *exec.Cmd
	in  io.Closer
	out bytes.Buffer
	err bytes.Buffer
}

func startFloor(program string) (*floor, error) {
	f := &floor{cmd: exec.Command(program)}
	f.cmd.Stdout, f.cmd.Stderr = &f.out, &f.err
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as all that the lab starts; it ends with its input
	var err error
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting rtfloor: %w", err)
	}
	return f, nil
}

func (f *floor) end() (found Floor, err error) {
	f.in.Close()
	if err := f.cmd.Wait(); err != nil {
		return found, fmt.Errorf("rtfloor: %w: %s", err, bytes.TrimSpace(f.err.Bytes()))
	}
	if err := json.Unmarshal(f.out.Bytes(), &found); err != nil {
		return found, fmt.Errorf("reading what rtfloor found: %w", err)
	}
	return found, nil
}
