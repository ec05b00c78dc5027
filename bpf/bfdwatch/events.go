package bfdwatch

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Event says that a session's packets have ceased. It is struct event of bfdwatch.h.
type Event struct {
	Key
	Generation    Generation
	Last, Expired uint64 // when the last packet came and when the kernel noticed, CLOCK_MONOTONIC in ns
}

// Events reads a BPF ring buffer, as the kernel's Documentation/bpf/ringbuf.rst describes it. It belongs to one goroutine,
// and there can be only one reader of a buffer.
type Events struct {
	file     *os.File
	consumed []byte // the consumer's page, ours to write
	produced []byte // the producer's page, and the data twice in a row, so that no record is broken
}

// eventsSize is max_entries of the map.
const eventsSize = 64 << 10

// Bits in the length of a record, and the length of what stands before it.
const (
	recordBusy, recordDiscarded = 1 << 31, 1 << 30
	recordHeader                = 8
)

// NewEvents returns a reader of the events in the map, which it owns from now on, also if it fails. Events of the past are
// skipped.
func NewEvents(m *os.File) (*Events, error) {
	fd, page := int(m.Fd()), os.Getpagesize()
	consumed, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping the BFD watchdog's events: %w", err), m.Close())
	}
	produced, err := unix.Mmap(fd, int64(page), page+2*eventsSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		err = fmt.Errorf("mapping the BFD watchdog's events: %w", err)
		return nil, errors.Join(err, unix.Munmap(consumed), m.Close())
	}
	r := &Events{file: m, consumed: consumed, produced: produced}
	var old Event
	for r.Next(&old) {
	}
	return r, nil
}

// FD is readable while there are events.
func (r *Events) FD() int { return int(r.file.Fd()) }

// Next fills in the next event and returns true, or returns false if there is none now. It allocates nothing and makes no
// system call.
func (r *Events) Next(e *Event) bool {
	consumer, producer := position(r.consumed), position(r.produced)
	data := r.produced[len(r.produced)-2*eventsSize:]
	for {
		at := atomic.LoadUint64(consumer)
		if at >= atomic.LoadUint64(producer) {
			return false
		}
		record := data[at%eventsSize:]
		length := atomic.LoadUint32((*uint32)(unsafe.Pointer(&record[0])))
		if length&recordBusy != 0 {
			return false
		}
		size := length &^ recordDiscarded
		ours := length == uint32(unsafe.Sizeof(*e))
		if ours {
			*e = *(*Event)(unsafe.Pointer(&record[recordHeader]))
		}
		atomic.StoreUint64(consumer, at+uint64(recordHeader+(size+7)&^7))
		if ours {
			return true
		}
	}
}

// position is the counter that a page begins with.
func position(page []byte) *uint64 { return (*uint64)(unsafe.Pointer(&page[0])) }

// Close ends reading.
func (r *Events) Close() error {
	return errors.Join(unix.Munmap(r.consumed), unix.Munmap(r.produced), r.file.Close())
}
