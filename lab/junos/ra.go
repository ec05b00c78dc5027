package junos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// An advertisement is a router advertisement as it was heard last.
type advertisement struct {
	source  netip.Addr
	heard   time.Time
	message *ndp.RouterAdvertisement
}

// advertisements hears router advertisements on the interfaces under protocols
// router-advertisement, and on no others, as Junos does.
type advertisements struct {
	names interfaceNames

	mu      sync.Mutex
	watched map[string]map[netip.Addr]advertisement // by logical interface, then sender
	order   []string                                // logical interfaces as configured
}

func newAdvertisements(names interfaceNames) *advertisements {
	return &advertisements{names: names, watched: map[string]map[netip.Addr]advertisement{}}
}

// watch sets the interfaces to listen on.
func (a *advertisements) watch(logical []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.watched
	a.watched, a.order = map[string]map[netip.Addr]advertisement{}, logical
	for _, name := range logical {
		if a.watched[name] = before[name]; a.watched[name] == nil {
			a.watched[name] = map[netip.Addr]advertisement{}
		}
	}
}

// forget drops what was heard.
func (a *advertisements) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, senders := range a.watched {
		clear(senders)
	}
}

// record keeps an advertisement, if its interface is watched.
func (a *advertisements) record(logical string, heard advertisement) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	senders, watched := a.watched[logical]
	if watched {
		senders[heard.source] = heard
	}
	return watched
}

// heard is the advertisements of one interface.
func (a *advertisements) heard(logical string) (out []advertisement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.watched[logical] {
		out = append(out, h)
	}
	return out
}

func (a *advertisements) interfaces() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.order
}

// run listens in the namespace until ctx ends. One raw socket hears every
// interface, also those that appear later.
func (a *advertisements) run(ctx context.Context, ns Namespace) error {
	var conn net.PacketConn
	var handle *netlink.Handle
	err := ns.Do(func() (err error) {
		if conn, err = net.ListenPacket("ip6:ipv6-icmp", "::"); err != nil {
			return err
		}
		handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return fmt.Errorf("listening for router advertisements: %w", err)
	}
	defer handle.Close()
	p := ipv6.NewPacketConn(conn)
	if err := onlyAdvertisements(p); err != nil {
		return fmt.Errorf("listening for router advertisements: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		n, control, from, err := p.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("hearing router advertisements: %w", err)
		}
		a.receive(handle, control, from, buf[:n])
	}
}

func onlyAdvertisements(p *ipv6.PacketConn) error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return errors.Join(p.SetICMPFilter(&filter), p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit, true))
}

// receive takes one packet, which is hostile until proven valid (RFC 4861
// section 6.1.2).
func (a *advertisements) receive(handle *netlink.Handle, control *ipv6.ControlMessage, from net.Addr, b []byte) {
	address, isIP := from.(*net.IPAddr)
	if !isIP || control == nil || control.HopLimit != 255 {
		return
	}
	source, _ := netip.AddrFromSlice(address.IP)
	if !source.Is6() || !source.IsLinkLocalUnicast() {
		return
	}
	message, err := ndp.ParseMessage(b)
	ra, isRA := message.(*ndp.RouterAdvertisement)
	if err != nil || !isRA {
		return
	}
	link, err := handle.LinkByIndex(control.IfIndex)
	if err != nil {
		return // gone meanwhile
	}
	logical, mapped := a.names.logical(link.Attrs().Name)
	if mapped && a.record(logical, advertisement{source, time.Now(), ra}) {
		learnRouter(handle, control.IfIndex, source, ra)
	}
}

// learnRouter enters the sender into the neighbour table as a router, as RFC
// 4861 section 6.3.4 asks of hosts and Junos' kernel does. Linux does not do so
// itself when it forwards. An entry that is reachable stays so.
func learnRouter(handle *netlink.Handle, index int, source netip.Addr, ra *ndp.RouterAdvertisement) {
	var mac net.HardwareAddr
	for _, option := range ra.Options {
		if l, ok := option.(*ndp.LinkLayerAddress); ok && l.Direction == ndp.Source {
			mac = l.Addr
		}
	}
	if mac == nil {
		return
	}
	entries, err := handle.NeighList(index, netlink.FAMILY_V6)
	if err != nil {
		return
	}
	state := unix.NUD_STALE
	for _, e := range entries {
		if !e.IP.Equal(source.AsSlice()) || !bytes.Equal(e.HardwareAddr, mac) {
			continue
		}
		if e.Flags&netlink.NTF_ROUTER != 0 && e.State&unix.NUD_FAILED == 0 {
			return
		}
		if e.State == unix.NUD_REACHABLE {
			state = unix.NUD_REACHABLE
		}
	}
	// Not learning it is what happens without this function, too.
	_ = handle.NeighSet(&netlink.Neigh{
		LinkIndex: index, Family: netlink.FAMILY_V6, State: state, Flags: netlink.NTF_ROUTER,
		IP: source.AsSlice(), HardwareAddr: mac,
	})
}

// icmpCounters reads the kernel's count of ICMPv6 messages of an interface by
// direction and type: "Icmp6OutType134".
func icmpCounters(kernel string) (map[string]int, error) {
	// Not /proc/net, which is the main thread's.
	text, err := os.ReadFile("/proc/thread-self/net/dev_snmp6/" + kernel)
	if err != nil {
		return nil, err
	}
	counters := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 2 {
			counters[fields[0]], _ = strconv.Atoi(fields[1])
		}
	}
	return counters, nil
}
