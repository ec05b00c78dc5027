package worker

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New("a BFD worker that cannot be reached at its socket still holds the lock")

// takeLock returns what makes a worker the only one of its socket for as long as
// anybody has it open: errLocked, while another one starts or ends.
//
// It is the socket's path as an abstract name (unix(7)). A file beside the socket
// would go with the directory, which systemd removes when hostagent is stopped,
// before the worker is gone; whoever came then would lock another file. The name
// belongs to the network namespace, as the UDP port does that BFD is on. Nobody
// listens there, so connecting costs the worker nothing.
func takeLock(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the lock of the BFD worker: %w", err)
	}
	lock := os.NewFile(uintptr(fd), "@"+path)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: lock.Name()}); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			err = errLocked
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", lock.Name(), err), lock.Close())
	}
	return lock, nil
}

// removeSocket removes the socket that a worker had, unless it has gone or
// another one is in its place.
func removeSocket(path string, own os.FileInfo) error {
	there, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(own, there) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket of the BFD worker: %w", err)
	}
	return nil
}
