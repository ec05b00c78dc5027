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

// usage is what the processes of a namespace have taken together.
type usage struct {
	cpu      time.Duration // user and system, in steps of 10 ms
	resident int           // bytes now; a page that several share counts once
	peak     int           // bytes at most, of each at its own time; what they share now counts once
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
	// The proportional set size: each page divided by how many processes map it,
	// as hostagent, its BFD worker and the mover do with their program's.
	rollup := filepath.Join(dir, "smaps_rollup")
	if u.resident, err = sizeIn(rollup, "Pss"); err != nil {
		return usage{}, err
	}
	rss, err := sizeIn(rollup, "Rss")
	if err != nil {
		return usage{}, err
	}
	highest, err := sizeIn(filepath.Join(dir, "status"), "VmHWM")
	u.peak = highest - (rss - u.resident)
	return u, err
}

// sizeIn returns what a file of /proc says of key, in bytes.
func sizeIn(path, key string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == key {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, key)
}
