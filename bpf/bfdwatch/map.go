package bfdwatch

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// session is struct session of bfdwatch.h.
type session struct {
	generation Generation
	detect     uint64 // ns
	peer       [16]byte
	slot, _    uint32
}

// pad is what a pointer lacks of the 64 bits that bpf(2) always takes, on little-endian machines.
type pad [8 - unsafe.Sizeof(uintptr(0))]byte

// element is the part of union bpf_attr for operations on elements of a map.
type element struct {
	fd, _ uint32
	key   unsafe.Pointer
	_     pad
	value unsafe.Pointer // for BPF_MAP_GET_NEXT_KEY the next key
	_     pad
	flags uint64
}

// update puts the value in the place of the one under the key. The system call is made here and not by a library, so that the
// process that watches needs no more than the two files.
func update(m *os.File, k *Key, v *session) error {
	return operate(unix.BPF_MAP_UPDATE_ELEM, m, unsafe.Pointer(k), unsafe.Pointer(v))
}

func remove(m *os.File, k *Key) error {
	return operate(unix.BPF_MAP_DELETE_ELEM, m, unsafe.Pointer(k), nil)
}

// first finds any key, or returns ENOENT.
func first(m *os.File, k *Key) error {
	return operate(unix.BPF_MAP_GET_NEXT_KEY, m, nil, unsafe.Pointer(k))
}

func operate(op uintptr, m *os.File, key, value unsafe.Pointer) error {
	attr := element{fd: uint32(m.Fd()), key: key, value: value}
	_, err := bpf(op, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(m)
	return err
}

// shape is the beginning of struct bpf_map_info.
type shape struct{ kind, id, key, value, entries uint32 }

// Both maps, as they are here and in bfdwatch.h.
var (
	sessionsShape = shape{unix.BPF_MAP_TYPE_HASH, 0, uint32(unsafe.Sizeof(Key{})), uint32(unsafe.Sizeof(session{})), Sessions}
	eventsShape   = shape{unix.BPF_MAP_TYPE_RINGBUF, 0, 0, 0, eventsSize}
)

// check says why a file that came from another process is not a map of this shape. The kernel would read and write as much
// memory as its own shape says.
func check(m *os.File, want shape) error {
	var is shape
	attr := struct {
		fd, length uint32
		info       unsafe.Pointer
		_          pad
	}{fd: uint32(m.Fd()), length: uint32(unsafe.Sizeof(is)), info: unsafe.Pointer(&is)}
	// Without what Go may put behind the last field: the kernel wants zeros there.
	_, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Offsetof(attr.info)+8)
	runtime.KeepAlive(m)
	if err != nil {
		return fmt.Errorf("looking at the BPF map %s: %w", m.Name(), err)
	}
	is.id = 0
	if is != want {
		return fmt.Errorf("BPF map %s (type, -, key, value, entries): %v is not allowed: %v, another release made it", m.Name(), is, want)
	}
	return nil
}

// get opens a pinned map.
func get(path string) (*os.File, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	attr := struct {
		path      unsafe.Pointer
		_         pad
		fd, flags uint32
	}{path: unsafe.Pointer(name)}
	fd, err := bpf(unix.BPF_OBJ_GET, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return os.NewFile(fd, path), nil
}

func bpf(op uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, op, uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}
