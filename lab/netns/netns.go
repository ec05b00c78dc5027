// Package netns makes named network namespaces, joins them by veth links and
// runs code and processes inside them: the hosts and cables of the lab and of
// every test that needs a real kernel.
//
// Namespaces are the ones of ip-netns(8), so `ip netns exec NAME` looks into
// them. Making one needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN).
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dir is where ip-netns(8) keeps its names.
const dir = "/run/netns"

// A NS is an open handle on a named network namespace.
type NS struct {
	Name   string
	handle netns.NsHandle
}

// New makes the namespace name and brings its loopback up. It is an error if
// the name is taken.
func New(name string) (*NS, error) {
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return nil, fmt.Errorf("making namespace %s: the name is taken", name)
	}
	n := &NS{Name: name}
	err := onThread(func() (err error) {
		n.handle, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", name, err)
	}
	err = n.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	if err != nil {
		return nil, errors.Join(err, n.Delete())
	}
	return n, nil
}

// Open returns the existing namespace name.
func Open(name string) (*NS, error) {
	h, err := netns.GetFromName(name)
	if err != nil {
		return nil, fmt.Errorf("opening namespace %s: %w", name, err)
	}
	return &NS{Name: name, handle: h}, nil
}

// List returns the names of the existing namespaces that begin with prefix.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Close gives the handle back; the namespace stays.
func (n *NS) Close() error { return n.handle.Close() }

// Do runs fn on a thread inside the namespace and returns its error. Sockets
// and netlink handles that fn opens stay in the namespace afterwards;
// goroutines that it starts do not.
func (n *NS) Do(fn func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("entering namespace %s: %w", n.Name, err)
		}
		return fn()
	})
}

// onThread runs fn on a thread of its own, which ends with it: a thread whose
// namespace was changed is never handed back to the scheduler.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	return <-done
}

// Start starts cmd inside the namespace. cmd must not ask for a Pdeathsig: the
// thread that starts it ends at once.
func (n *NS) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run runs a command inside the namespace and returns what it printed; the
// error holds the end of it.
func (n *NS) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Start(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		text := strings.TrimSpace(out.String())
		return nil, fmt.Errorf("%s: %s %s: %w: %s", n.Name, name, strings.Join(args, " "), err, text)
	}
	return []byte(out.String()), nil
}

// Sysctl sets a kernel parameter of the namespace. key is written with dots
// or, where an interface name has a dot in it, with slashes.
func (n *NS) Sysctl(key, value string) error {
	path := key
	if !strings.Contains(key, "/") {
		path = strings.ReplaceAll(key, ".", "/")
	}
	return n.Do(func() error {
		err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0)
		if err != nil {
			return fmt.Errorf("%s: setting %s=%s: %w", n.Name, key, value, err)
		}
		return nil
	})
}

// Pids returns the processes whose main thread is in the namespace, without
// our own.
func (n *NS) Pids() ([]int, error) {
	var want unix.Stat_t
	if err := unix.Fstat(int(n.handle), &want); err != nil {
		return nil, fmt.Errorf("reading namespace %s: %w", n.Name, err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, link := range links {
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil || st.Ino != want.Ino || st.Dev != want.Dev {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Delete kills the processes in the namespace and removes it, and with it its
// links. Deleting it twice is no error.
func (n *NS) Delete() error {
	if !n.handle.IsOpen() {
		return nil
	}
	defer n.handle.Close()
	if err := n.killAll(); err != nil {
		return err
	}
	err := netns.DeleteNamed(n.Name)
	if errors.Is(err, unix.EINVAL) {
		// A bare file: who made it was killed before the namespace was
		// mounted on it.
		err = os.Remove(filepath.Join(dir, n.Name))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("deleting namespace %s: %w", n.Name, err)
	}
	return nil
}

func (n *NS) killAll() error {
	const patience = 30 * time.Second
	for deadline := time.Now().Add(patience); ; {
		pids, err := n.Pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("deleting namespace %s: processes %v do not end", n.Name, pids)
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("deleting namespace %s: killing %d: %w", n.Name, pid, err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// linkIndex numbers the first ends of links. The second ends get the kernel's
// own, low numbers.
var linkIndex atomic.Int32

// Veth joins a and b by a link with the given interface names at its ends, and
// brings both up.
//
// The ends have different interface indexes. If they were equal, Linux would
// take the end for a device without a peer and report its loss of carrier up to
// a second late (linkwatch_urgent_event in net/core/link_watch.c).
func Veth(a *NS, aName string, b *NS, bName string) error {
	index := 1000 + int(linkIndex.Add(1))
	link := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: aName, Index: index, Namespace: netlink.NsFd(a.handle)},
		PeerName:      bName,
		PeerNamespace: netlink.NsFd(b.handle),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("linking %s %s to %s %s: %w", a.Name, aName, b.Name, bName, err)
	}
	return errors.Join(a.SetUp(aName), b.SetUp(bName))
}

// SetUp brings an interface up.
func (n *NS) SetUp(name string) error { return n.onLink(name, netlink.LinkSetUp) }

// SetDown takes an interface down; the other end of its link loses carrier.
func (n *NS) SetDown(name string) error { return n.onLink(name, netlink.LinkSetDown) }

func (n *NS) onLink(name string, fn func(netlink.Link) error) error {
	err := n.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return fn(link)
	})
	if err != nil {
		return fmt.Errorf("%s: interface %s: %w", n.Name, name, err)
	}
	return nil
}

// AddAddress gives an interface an address with its prefix length, such as
// 10.0.1.1/32. IPv6 addresses are usable at once: no duplicate detection.
func (n *NS) AddAddress(name, cidr string) error {
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("%s: address %q: %w", n.Name, cidr, err)
	}
	if addr.IP.To4() == nil {
		addr.Flags |= unix.IFA_F_NODAD
	}
	return n.onLink(name, func(l netlink.Link) error { return netlink.AddrReplace(l, addr) })
}
