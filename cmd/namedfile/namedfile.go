// Package namedfile reads the files that people name in a configuration or on a command line, and never
// waits for one: who opens a pipe waits until somebody writes to it, and a device may have no end.
package namedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// most is how many bytes a file may have: an inventory is the longest of them.
const most = 16 << 20

// How long a pipe may take: until the first byte while nobody has it open for writing, as the shell may still
// be starting who will, and until its end.
const (
	grace    = time.Second
	looks    = 50 // in that time
	patience = time.Minute
)

// Read reads a regular file of at most 16 MiB. Anything else is refused at once.
func Read(path string) ([]byte, error) { return ReadAtMost(path, most) }

// ReadAtMost reads a regular file of at most so many bytes, such as one that is read again and again.
func ReadAtMost(path string, most int) ([]byte, error) {
	file, mode, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !mode.IsRegular() {
		return nil, fmt.Errorf("%s: it is %s; a regular file is wanted", path, kind(mode))
	}
	return whole(file, most)
}

// ReadPiped also reads a pipe, such as the shell's <(command), or /dev/stdin behind one. Whoever writes to it must end
// within a minute. It is for what is read once: the second time a pipe is empty, which is an error.
func ReadPiped(path string) ([]byte, error) { return readPiped(path, patience) }

func readPiped(path string, patience time.Duration) ([]byte, error) {
	file, mode, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	switch {
	case mode.IsRegular():
		return whole(file, most)
	case mode.Type() == fs.ModeNamedPipe:
		return fromPipe(file, patience)
	}
	return nil, fmt.Errorf("%s: it is %s; a regular file or a pipe is wanted", path, kind(mode))
}

// open opens without waiting for a pipe's other end (open(2), O_NONBLOCK).
func open(path string) (*os.File, fs.FileMode, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) { // what it says of one is "no such device or address"
		return nil, 0, fmt.Errorf("%s: it is a socket, or a device that is not there; a regular file is wanted", path)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Mode(), nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return fmt.Sprintf("no file of bytes (%s)", mode)
}

func whole(file *os.File, most int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s: it has more than the %d bytes that are allowed", file.Name(), most)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// fromPipe reads to the end. While nobody has the pipe open for writing it reads as empty.
func fromPipe(file *os.File, patience time.Duration) ([]byte, error) {
	if err := file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for range looks {
		text, err := whole(file, most)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("%s: it is a pipe, and who writes to it has not ended within %s", file.Name(), patience)
		case err != nil || len(text) > 0:
			return text, err
		}
		time.Sleep(grace / looks)
	}
	return nil, fmt.Errorf("%s: it is a pipe that nobody writes to; a regular file, or a pipe with something in it, is wanted", file.Name())
}
