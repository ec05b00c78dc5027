package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// DefaultDir is the root of the pins. bpffs is mounted at /sys/fs/bpf by systemd.
const DefaultDir = "/sys/fs/bpf/hostagent"

// ErrRunning says that another process holds the pins of this network namespace.
var ErrRunning = errors.New("another hostagent holds the programs on the uplinks")

// pins is the directory of this network namespace, locked.
type pins struct {
	dir  string
	lock *os.File
}

// openPins makes the directory below root and locks it. bpffs is mounted if it is not there and we may.
func openPins(root string) (*pins, error) {
	if err := mounted(filepath.Dir(root)); err != nil {
		return nil, err
	}
	dir, err := pinsBelow(root)
	if err != nil {
		return nil, err
	}
	p := &pins{dir: dir}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for pins: %w", err)
	}
	if p.lock, err = os.Open(p.dir); err != nil {
		return nil, fmt.Errorf("locking the pins: %w", err)
	}
	// The lock goes with the process, however it ends.
	if err := unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrRunning
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", p.dir, err), p.lock.Close())
	}
	return p, nil
}

// PinsHere is the directory below [DefaultDir] with what is pinned for the network namespace of the calling thread. It is
// for who removes the namespace: the next one may get its number.
func PinsHere() (string, error) { return pinsBelow(DefaultDir) }

// pinsBelow is the directory of our network namespace. Interface names are those of one, and bpffs knows nothing of it.
func pinsBelow(root string) (string, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return "", fmt.Errorf("finding our network namespace: %w", err)
	}
	return filepath.Join(root, strconv.FormatUint(ns.Ino, 10)), nil
}

// mounted makes sure that dir is in a bpf file system.
func mounted(dir string) error {
	is, err := isBPF(dir)
	switch {
	case is:
		return nil
	case err != nil:
		return fmt.Errorf("looking for a bpf file system at %s: %w", dir, err)
	case dir != filepath.Dir(DefaultDir):
		return fmt.Errorf("%s is not in a bpf file system", dir)
	}
	if err := mountAt(dir); err != nil {
		return fmt.Errorf("no bpf file system is mounted at %s, and mounting one failed: %w", dir, err)
	}
	return nil
}

func isBPF(dir string) (bool, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	return err == nil && int64(st.Type) == unix.BPF_FS_MAGIC, err
}

// mountAt mounts a bpf file system, unless another process does so just now: one upon the other would hide the pins below.
func mountAt(dir string) error {
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if is, err := isBPF(dir); is || err != nil {
		return err
	}
	return unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
}

// close gives the directory to the next process.
func (p *pins) close() error { return p.lock.Close() }

// of is the directory of an interface. bpffs takes no name with a dot in it; interface names have no colon.
func (p *pins) of(name string) string {
	return filepath.Join(p.dir, strings.ReplaceAll(name, ".", ":"))
}

// names are the interfaces that have a directory.
func (p *pins) names() ([]string, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("listing pins: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, strings.ReplaceAll(e.Name(), ":", "."))
		}
	}
	return names, nil
}

// find returns the pinned link on the interface with an index and where it sits, or nil. It is looked for under all names:
// interfaces are renamed.
func (p *pins) find(index int) (link.Link, Mode, error) {
	names, err := p.names()
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		for _, place := range places {
			l, err := p.load(name, place)
			if err != nil {
				return nil, "", err
			}
			if l == nil {
				continue
			}
			if on, err := interfaceOf(l); err != nil || on == index {
				return l, place, err
			}
			if err := l.Close(); err != nil {
				return nil, "", fmt.Errorf("closing a pinned link: %w", err)
			}
		}
	}
	return nil, "", nil
}

// load opens the pinned link of an interface, or returns nil.
func (p *pins) load(name string, place Mode) (link.Link, error) {
	path := filepath.Join(p.of(name), string(place))
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return l, nil
}

// unpin detaches the links that are pinned by an interface's name and removes their pins, but for the link that is on the
// interface. (Without its pin a link would detach too, but some time later.)
func (p *pins) unpin(name string, but link.Link) error {
	var errs []error
	for _, place := range places {
		l, err := p.load(name, place)
		if err != nil || l == nil {
			errs = append(errs, err)
			continue
		}
		same := false
		if but != nil {
			same, err = equal(l, but)
			errs = append(errs, err)
		}
		if !same {
			errs = append(errs, l.Detach(), l.Unpin())
		}
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// equal says whether two handles are of the same link.
func equal(a, b link.Link) (bool, error) {
	x, err := a.Info()
	if err != nil {
		return false, fmt.Errorf("reading a link: %w", err)
	}
	y, err := b.Info()
	if err != nil {
		return false, fmt.Errorf("reading a link: %w", err)
	}
	return x.ID == y.ID, nil
}

// forget detaches what is pinned of an interface and removes its directory.
func (p *pins) forget(name string) error {
	if err := p.unpin(name, nil); err != nil {
		return err
	}
	if err := os.RemoveAll(p.of(name)); err != nil {
		return fmt.Errorf("removing pins: %w", err)
	}
	return nil
}

// interfaceOf is the index of the interface that a link is on; 0 if that has gone.
func interfaceOf(l link.Link) (int, error) {
	info, err := l.Info()
	if err != nil {
		return 0, fmt.Errorf("reading a link: %w", err)
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex), nil
	}
	if x := info.TCX(); x != nil {
		return int(x.Ifindex), nil
	}
	return 0, fmt.Errorf("a pinned link is of type %v, which is not ours", info.Type)
}
