package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/etherbench"
	"lastmile/bpf/etherfix/frames"
	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// An EtherfixReport is what [Etherfix] measured.
type EtherfixReport struct {
	Started time.Time    `json:"started"`
	Runs    int          `json:"runs"`
	Frames  []FrameTime  `json:"frames"`
	Rates   []PacketRate `json:"rates"`
}

// A FrameTime is what a program takes for a frame, in ns, as the kernel's test run measures it.
type FrameTime struct {
	Name string `json:"name"`
	// More is the median less that of the case named by Base, both in ns.
	Base string  `json:"base,omitempty"`
	More float64 `json:"more"`
	Stats
}

// A PacketRate is how many packets a second reach the IPv4 stack of a server over a veth link. It holds the sender's part,
// which is the larger one and the same for all.
type PacketRate struct {
	Program string `json:"program"` // on the server's end of the link
	Marked  string `json:"marked"`  // the frames' EtherType
	Stats
	Ratio     float64 `json:"ratio"`     // of the median to that without a program
	BestRatio float64 `json:"bestRatio"` // of the highest rates: what counts on a machine that does other things too
}

const (
	framesPerRun  = 500_000 // of a test run
	packetsPerRun = 20_000  // over the link
)

// Etherfix measures the EtherType repair: by frame in the kernel's test run, and by packets a second over a veth link, beside a
// program that does nothing and the talk's rule. The cases take turns in each run.
func Etherfix(ctx context.Context, runs int, say func(string, ...any)) (report EtherfixReport, err error) {
	report = EtherfixReport{Started: time.Now(), Runs: runs}
	bench, err := etherbench.Open()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, bench.Close()) }()
	if report.Frames, err = timeFrames(ctx, bench, runs); err != nil {
		return report, err
	}
	say("test runs are done, %d frames each", framesPerRun)
	w, err := newWire()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	report.Rates, err = timePackets(ctx, w, programsOf(bench, w), runs)
	return report, err
}

func timeFrames(ctx context.Context, bench *etherbench.Bench, runs int) ([]FrameTime, error) {
	samples := map[string][]float64{}
	for range runs {
		for _, c := range etherbench.Cases() {
			if ctx.Err() != nil {
				return nil, ErrInterrupted
			}
			took, err := bench.Run(c, framesPerRun)
			if err != nil {
				return nil, err
			}
			samples[c.Name] = append(samples[c.Name], float64(took.Nanoseconds()))
		}
	}
	var times []FrameTime
	for _, c := range etherbench.Cases() {
		t := FrameTime{Name: c.Name, Base: c.Base, Stats: summarise(samples[c.Name])}
		if c.Base != "" {
			t.More = t.Median - summarise(samples[c.Base]).Median
		}
		times = append(times, t)
	}
	return times, nil
}

// A program is one to have on the server's end of the link for a while.
type program struct {
	name   string
	types  []uint16 // of the frames that reach IPv4 with it
	attach func() (io.Closer, error)
}

func programsOf(bench *etherbench.Bench, w *wire) []program {
	right, both := []uint16{frames.IPv4}, []uint16{frames.IPv4, frames.IPv6}
	rival := func(r etherbench.Rival, native bool) func() (io.Closer, error) {
		return func() (io.Closer, error) { return bench.Attach("up0", r, native) }
	}
	ours := func(mode uplink.Mode) func() (io.Closer, error) {
		return func() (io.Closer, error) { return w.repair(mode) }
	}
	return []program{
		{"none", right, func() (io.Closer, error) { return io.NopCloser(nil), nil }},
		{"no-op, generic", right, rival(etherbench.NoOp, false)},
		{"the talk's rule, generic", both, rival(etherbench.Talk, false)},
		{"repair, generic", both, ours(uplink.Generic)},
		{"no-op, native", right, rival(etherbench.NoOp, true)},
		{"the talk's rule, native", both, rival(etherbench.Talk, true)},
		{"repair, native", both, ours(uplink.Native)},
		{"repair, tcx", both, ours(uplink.TCX)},
	}
}

func timePackets(ctx context.Context, w *wire, programs []program, runs int) ([]PacketRate, error) {
	type key struct {
		program string
		marked  uint16
	}
	samples := map[key][]float64{}
	for range runs {
		for _, p := range programs {
			for _, t := range p.types {
				if ctx.Err() != nil {
					return nil, ErrInterrupted
				}
				rate, err := w.rate(p, t)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", p.name, err)
				}
				samples[key{p.name, t}] = append(samples[key{p.name, t}], rate)
			}
		}
	}
	var rates []PacketRate
	alone := summariseRates(samples[key{programs[0].name, frames.IPv4}])
	for _, t := range []uint16{frames.IPv4, frames.IPv6} {
		for _, p := range programs {
			if slices.Contains(p.types, t) {
				s := summariseRates(samples[key{p.name, t}])
				rates = append(rates, PacketRate{
					Program: p.name, Marked: fmt.Sprintf("0x%04x", t), Stats: s,
					Ratio: s.Median / alone.Median, BestRatio: s.Best / alone.Best,
				})
			}
		}
	}
	return rates, nil
}

// summariseRates summarises samples of which the highest is the best.
func summariseRates(samples []float64) Stats {
	s := summarise(samples)
	s.Best, s.Worst = s.Worst, s.Best
	return s
}

// A wire is a veth link from a leaf to a server's up0.
type wire struct {
	leaf, server *netns.NS
	socket       int // sends raw frames from the leaf
	mac          net.HardwareAddr
	index        int // of up0
}

func newWire() (w *wire, err error) {
	w = &wire{socket: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	name := "lmetherfix-" + strconv.Itoa(os.Getpid())
	if w.leaf, err = netns.New(name + "-leaf"); err != nil {
		return w, err
	}
	if w.server, err = netns.New(name + "-server"); err != nil {
		return w, err
	}
	if err := netns.Veth(w.server, "up0", w.leaf, "port"); err != nil {
		return w, err
	}
	if err := w.server.AddAddress("up0", "10.0.1.1/32"); err != nil {
		return w, err
	}
	// The sender has no address that a route leads to.
	for _, of := range []string{"all", "up0"} {
		if err := w.server.Sysctl("net.ipv4.conf."+of+".rp_filter", "0"); err != nil {
			return w, err
		}
	}
	if err := w.server.AddAddress("up0", "10.255.255.2/24"); err != nil {
		return w, err
	}
	err = w.server.Do(func() error {
		i, err := net.InterfaceByName("up0")
		if err == nil {
			w.mac, w.index = i.HardwareAddr, i.Index
		}
		return err
	})
	if err != nil {
		return w, err
	}
	return w, w.leaf.Do(w.openSocket)
}

func (w *wire) openSocket() error {
	i, err := net.InterfaceByName("port")
	if err != nil {
		return err
	}
	if w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(w.socket, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return fmt.Errorf("setting PACKET_QDISC_BYPASS: %w", err)
	}
	return unix.Bind(w.socket, &unix.SockaddrLinklayer{Ifindex: i.Index})
}

// repair puts ours on up0.
func (w *wire) repair(mode uplink.Mode) (io.Closer, error) {
	// Nothing is pinned: this directory is in no bpf file system.
	h, err := uplink.Open(uplink.Options{Repair: true, Watchdog: true, Dir: "/nowhere/hostagent"})
	if err != nil {
		return nil, err
	}
	if _, err := h.Attach("up0", w.index, mode); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// rate is packets a second that arrive, of frames with the given type.
func (w *wire) rate(p program, etherType uint16) (rate float64, err error) {
	var attached io.Closer
	if err := w.server.Do(func() (err error) {
		attached, err = p.attach()
		return err
	}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, attached.Close()) }()
	frame := frames.Ethernet(frames.IPv4Packet(5, 26), etherType)
	copy(frame, w.mac)
	before, err := w.delivered()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for range packetsPerRun {
		// ENOBUFS: the ring of the other end is full, and the frame lost.
		if _, err := unix.Write(w.socket, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return 0, fmt.Errorf("sending: %w", err)
		}
	}
	took := time.Since(start)
	after, err := w.delivered()
	if err == nil && after == before {
		err = errors.New("no packet arrived")
	}
	return float64(after-before) / took.Seconds(), err
}

// delivered is how many packets the server's IPv4 has handed to a protocol.
func (w *wire) delivered() (n int, err error) {
	var text []byte
	if err := w.server.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "Ip:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		return strconv.Atoi(fields[slices.Index(names, "InDelivers")])
	}
	return 0, errors.New("no InDelivers in /proc/net/snmp")
}

func (w *wire) close() error {
	var errs []error
	if w.socket >= 0 {
		errs = append(errs, unix.Close(w.socket))
	}
	for _, ns := range []*netns.NS{w.leaf, w.server} {
		if ns != nil {
			errs = append(errs, ns.Delete())
		}
	}
	return errors.Join(errs...)
}

// WriteTable writes the measurements for people.
func (r EtherfixReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "a frame in the kernel's test run, %d times in each of %d runs\n\n", framesPerRun, r.Runs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "FRAME\tMEDIAN\tWORST\tBEST\tSPREAD\tMORE THAN ITS BASE\t")
	for _, f := range r.Frames {
		fmt.Fprintf(t, "%s\t%.0f ns\t%.0f ns\t%.0f ns\t%.1f ns\t%+.1f ns\t\n", f.Name, f.Median, f.Worst, f.Best, f.Spread, f.More)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\npackets a second over a veth link, %d packets in each of %d runs\n\n", packetsPerRun, r.Runs)
	fmt.Fprintln(t, "PROGRAM\tMARKED\tMEDIAN\tWORST\tBEST\tSPREAD\tMEDIAN RATIO\tBEST RATIO\t")
	for _, p := range r.Rates {
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t\n",
			p.Program, p.Marked, p.Median, p.Worst, p.Best, p.Spread, p.Ratio, p.BestRatio)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r EtherfixReport) WriteJSON(path string) error { return writeJSON(path, r) }
