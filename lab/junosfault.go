package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lastmile/lab/junos"
)

// faultSocket is where a simulated Junos takes faults, in its directory.
const faultSocket = "faults.sock"

// Each exchange on the socket is one line there and a text back, which begins
// with one of these.
const (
	faultTaken   = "ok\n"
	faultRefused = "error\n"
)

// serveFaults takes commands of junos.Device.FaultCommand until ctx ends.
func serveFaults(ctx context.Context, device *junos.Device, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on %s: %w", path, err)
		}
		takeFault(device, conn)
	}
}

// takeFault answers one connection. One that goes away was not interested.
func takeFault(device *junos.Device, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	text, err := device.FaultCommand(strings.TrimSpace(line))
	if err != nil {
		_, _ = io.WriteString(conn, faultRefused+err.Error())
		return
	}
	_, _ = io.WriteString(conn, faultTaken+text)
}

// FaultCommand joins the words of a command line, of which the shell has taken
// the quotes, to one for Fault.
func FaultCommand(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if key, value, found := strings.Cut(w, "="); found && strings.ContainsAny(value, " \t\n") && !strings.HasPrefix(value, `"`) {
			quoted[i] = key + "=" + strconv.Quote(value)
		}
	}
	return strings.Join(quoted, " ")
}

// Fault gives a command to the faults of a Junos leaf: a fault in the form of
// junos.ParseFault, "list", "log", "clear" or "clear N". It returns what there
// is to show. "ethertype", "ethertype on" and "ethertype off" are about a fault
// of forwarding, of which the simulated Junos knows nothing.
func (f *Fabric) Fault(ctx context.Context, node, command string) (string, error) {
	if what, ok := cutEtherType(command); ok {
		return f.etherType(node, what)
	}
	path := filepath.Join(f.nodeDir(node), faultSocket)
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return "", fmt.Errorf("%s runs no simulated Junos: %w", node, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(command, "\n", " ")+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	if text, taken := strings.CutPrefix(string(answer), faultTaken); taken {
		return text, nil
	}
	return "", fmt.Errorf("%s: %s", node, strings.TrimPrefix(string(answer), faultRefused))
}
