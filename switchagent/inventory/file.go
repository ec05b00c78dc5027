package inventory

import (
	"bytes"
	"fmt"
	"net/netip"

	"lastmile/cmd/namedfile"
)

// File is an inventory in a file. It is for one goroutine.
type File struct {
	path  string
	check func(netip.Prefix) error
	text  []byte // as it was read last, good or bad
	read  bool
	err   error
}

// NewFile is the file at path, which is read by Refresh. check is that of Parse.
func NewFile(path string, check func(netip.Prefix) error) *File {
	return &File{path: path, check: check}
}

// Refresh reads the file. It is nil, nil if the file is good and what it was the last time. While it is bad, every call says why.
//
// It is read whole and compared, which for a few hundred kilobytes costs less than a poll's replies:
// no clock and no file system has a say in whether a change is seen.
func (f *File) Refresh() (*Inventory, error) {
	text, err := namedfile.Read(f.path)
	if err != nil {
		f.read = false // when it is back it is news
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if f.read && bytes.Equal(text, f.text) {
		return nil, f.err
	}
	f.text, f.read, f.err = text, true, nil
	inv, err := Parse(f.path, text, f.check)
	if err != nil {
		f.err = fmt.Errorf("inventory: %w", err)
	}
	return inv, f.err
}

// Forget makes the file news the next time, whatever was read before.
func (f *File) Forget() { f.read = false }
