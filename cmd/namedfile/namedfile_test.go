package namedfile

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRegular: both readers read what a regular file holds, of which nobody has to say that it is one.
func TestRegular(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 4096, most} {
		text := bytes.Repeat([]byte("x"), size)
		path := write(t, dir, text)
		link := filepath.Join(dir, fmt.Sprint("link", size))
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for name, read := range readers {
			for _, path := range []string{path, link} {
				if got, err := read(path); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s: %d bytes of %d, %v", name, len(got), size, err)
				}
			}
		}
	}
}

var readers = map[string]func(string) ([]byte, error){"Read": Read, "ReadPiped": ReadPiped}

func write(t *testing.T, dir string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprint("file", len(text)))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRefused: what is no file with an end is refused, by name, and nobody waits for it.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	pipe := fifo(t)
	for _, tt := range []struct{ path, read, piped string }{
		{pipe, "it is a pipe; a regular file is wanted", "it is a pipe that nobody writes to"},
		{"/dev/zero", "it is a device; a regular file is wanted", "it is a device; a regular file or a pipe is wanted"},
		{os.DevNull, "it is a device", "it is a device"},
		{dir, "it is a directory", "it is a directory"},
		{socket, "it is a socket", "it is a socket"},
		{filepath.Join(dir, "none"), "no such file", "no such file"},
		{write(t, dir, make([]byte, most+1)), "more than the 16777216 bytes", "more than the 16777216 bytes"},
	} {
		for name, want := range map[string]string{"Read": tt.read, "ReadPiped": tt.piped} {
			got, err := within(t, tt.path, readers[name])
			if err == nil || got != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("%s of %s: %v, want %q and the path in it", name, tt.path, err, want)
			}
		}
	}
}

// fifo makes a pipe that nobody has open.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// within reads, and fails if that does not end.
func within(t *testing.T, path string, read func(string) ([]byte, error)) (text []byte, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, err = read(path)
	}()
	select {
	case <-done:
		return text, err
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it waits", path)
		return nil, nil
	}
}

// TestPiped: what somebody writes to a pipe is read to its end, whether they came before the reader or after.
func TestPiped(t *testing.T) {
	want := strings.Repeat("target: leaf1\n", 20_000) // more than a pipe holds
	for _, early := range []bool{true, false} {
		path := fifo(t)
		wrote := make(chan error, 1)
		send := func() { wrote <- os.WriteFile(path, []byte(want), 0) }
		var held *os.File
		if early {
			held = hold(t, path)
			go send()
		} else {
			time.AfterFunc(grace/10, send)
		}
		got := make(chan error, 1)
		go func() {
			text, err := ReadPiped(path)
			if err == nil && string(text) != want {
				err = fmt.Errorf("%d bytes of %d came", len(text), len(want))
			}
			got <- err
		}()
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if held != nil {
			held.Close() // the last writer: only now it ends
		}
		if err := <-got; err != nil {
			t.Errorf("early %v: %v", early, err)
		}
	}
}

// hold opens both ends of a pipe, so that it has a writer.
func hold(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// TestWriterThatNeverEnds: it is not waited for longer than the reader has patience.
func TestWriterThatNeverEnds(t *testing.T) {
	path := fifo(t)
	file := hold(t, path)
	if _, err := file.WriteString("target: le"); err != nil {
		t.Fatal(err)
	}
	text, err := within(t, path, func(path string) ([]byte, error) { return readPiped(path, 50*time.Millisecond) })
	if err == nil || text != nil || !strings.Contains(err.Error(), "has not ended within 50ms") {
		t.Errorf("got %q, %v", text, err)
	}
}
