package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the hidden command of hostagent that is the worker.
const Command = "bfd-worker"

// memoryLimit of the Go runtime, in bytes. The worker's garbage collector is
// off and its loop makes no garbage; orders make a little. At the limit it
// collects after all, rather than grow for ever.
const memoryLimit = 64 << 20

// What the worker finds open when it starts, after the standard three.
const (
	fdListener = 3
	fdLock     = 4
)

// spawn starts a worker and hands it the socket that it listens on and the
// lock that makes it the only one. It outlives us.
func spawn(cfg Config, listener, lock *os.File) error {
	cmd := exec.Command(cfg.Program[0], append(cfg.Program[1:len(cfg.Program):len(cfg.Program)],
		"--socket", cfg.Socket, "--orphan", cfg.Orphan.String())...)
	cmd.ExtraFiles = []*os.File{listener, lock}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	// Nothing else of our environment: systemd's, for one, is about us.
	cmd.Env = []string{
		"GOGC=off", "GOMEMLIMIT=" + strconv.Itoa(memoryLimit),
		"GOMAXPROCS=1",              // see wait
		"GODEBUG=asyncpreemptoff=1", // no signal to the loop every 10 ms: it yields without
	}
	// An interrupt at the terminal is for us; we end the worker in our order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := onBestThread(cmd.Start); err != nil {
		return fmt.Errorf("starting the BFD worker: %w", err)
	}
	// It may outlive every Run, and us. All that can be had of it is that it
	// is no zombie.
	go cmd.Wait()
	return nil
}

// start starts a worker at the socket, unless there is one: errLocked, while
// one starts or ends.
func start(cfg Config) error {
	if err := os.MkdirAll(filepath.Dir(cfg.Socket), 0o755); err != nil {
		return fmt.Errorf("making the directory of the BFD worker's socket: %w", err)
	}
	lock, err := takeLock(cfg.Socket)
	if err != nil {
		return err
	}
	defer lock.Close() // the worker's copy keeps it
	listener, err := listen(cfg.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	return spawn(cfg, listener, lock)
}

// listen opens the worker's socket, in place of what a dead worker left there.
// Who connects is served as soon as there is somebody to serve it.
func listen(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("opening the BFD worker's socket %s: something else is there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing the socket of a dead BFD worker: %w", err)
		}
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("opening the BFD worker's socket: %w", err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("opening the BFD worker's socket: %w", err)
	}
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("handing over the BFD worker's socket: %w", err)
	}
	return f, nil
}

// dial connects to the worker that lives at the socket, and reads its hello; of one
// that is silent the PID is known.
func dial(ctx context.Context, path string) (*net.UnixConn, hello, error) {
	var h hello
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, h, err
	}
	hangUp := context.AfterFunc(ctx, func() { conn.Close() })
	err = greet(conn, &h)
	if !hangUp() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, h, fmt.Errorf("connecting to the BFD worker: %w", err)
	}
	return conn, h, nil
}

// answerTime is how long the worker may take to answer. It needs microseconds,
// once it runs; a binary that starts on a busy machine takes its time.
const answerTime = 10 * time.Second

func greet(conn *net.UnixConn, h *hello) (err error) {
	if h.PID, err = peerOf(conn); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	b := make([]byte, maxMessage)
	n, err := conn.Read(b)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return err
	}
	if kind(b[0]) == kindBusy {
		var other busy
		if err := decode(b[:n], &other); err != nil {
			return err
		}
		return fmt.Errorf("it serves process %d: is another hostagent running?", other.PID)
	}
	if kind(b[0]) != kindHello {
		return fmt.Errorf("its first message is of kind %d", b[0])
	}
	if err := decode(b[:n], h); err != nil {
		return err
	}
	return conn.SetReadDeadline(time.Time{})
}

// peerOf returns the worker's process. It refuses one of another user, who could say
// that leaves are dead.
func peerOf(conn *net.UnixConn) (pid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var refusal error
	err = raw.Control(func(fd uintptr) { pid, refusal = peer(int(fd)) })
	return pid, errors.Join(err, refusal)
}

// peer returns the process at the other end of a Unix socket. It must belong
// to our user, or to root.
func peer(fd int) (pid uint32, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, fmt.Errorf("asking who is at the other end: %w", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("process %d at the other end belongs to user %d", cred.Pid, cred.Uid)
	}
	return uint32(cred.Pid), nil
}
