package junos_test

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A raw session is a client without any forgiveness.
type raw struct {
	client *ssh.Client
	in     io.Writer
	out    *bufio.Reader
}

// connect logs in and returns when the device has said hello.
func connect(t testing.TB, address string) (*raw, error) {
	t.Helper()
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "lab", Auth: []ssh.AuthMethod{ssh.Password("lab123")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("netconf"); err != nil {
		return nil, err
	}
	r := &raw{client, in, bufio.NewReader(out)}
	if _, err := r.message(); err != nil {
		return nil, err
	}
	_, err = io.WriteString(in, clientHello)
	return r, err
}

func mustConnect(t testing.TB, address string) *raw {
	t.Helper()
	r, err := connect(t, address)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// message reads up to the end of a message, or what there is before an end.
func (r *raw) message() (string, error) {
	var b bytes.Buffer
	for {
		part, err := r.out.ReadBytes('>')
		b.Write(part)
		if message, whole := bytes.CutSuffix(b.Bytes(), []byte("]]>]]>")); whole || err != nil {
			return string(message), err
		}
	}
}

func (r *raw) call(operation string) (string, error) {
	if _, err := io.WriteString(r.in, `<rpc message-id="1">`+operation+"</rpc>]]>]]>"); err != nil {
		return "", err
	}
	return r.message()
}

// soon is call for a reply that may not come.
func (r *raw) soon(operation string, patience time.Duration) (reply string, err error, came bool) {
	type result struct {
		reply string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		reply, err := r.call(operation)
		done <- result{reply, err}
	}()
	select {
	case got := <-done:
		return got.reply, got.err, true
	case <-time.After(patience):
		return "", nil, false
	}
}
