package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lastmile/lab/netns"
)

// usage is what the processes of a namespace have taken together. Memory that
// several of them share counts for each.
type usage struct {
	cpu      time.Duration // user and system, in steps of 10 ms
	resident int           // bytes now
	peak     int           // bytes at most, of each at its own time
}

// usageOf asks the kernel.
func usageOf(ns *netns.NS) (usage, error) {
	pids, err := ns.Pids()
	if err != nil {
		return usage{}, err
	}
	var sum usage
	for _, pid := range pids {
		u, err := processUsage(pid)
		if err != nil {
			return usage{}, fmt.Errorf("%s: process %d: %w", ns.Name, pid, err)
		}
		sum.cpu += u.cpu
		sum.resident += u.resident
		sum.peak += u.peak
	}
	return sum, nil
}

func processUsage(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}, err
	}
	// proc(5): utime and stime are the 14th and 15th field; the second, the
	// name, may hold spaces and ends with the last parenthesis.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("reading %q", stat)
	}
	var u usage
	for _, f := range fields[11:13] {
		ticks, err := strconv.Atoi(f)
		if err != nil {
			return usage{}, err
		}
		u.cpu += time.Duration(ticks) * (time.Second / 100) // USER_HZ
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch key {
		case "VmHWM":
			u.peak = kb << 10
		case "VmRSS":
			u.resident = kb << 10
		}
	}
	return u, nil
}
