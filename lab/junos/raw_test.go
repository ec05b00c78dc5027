package junos_test

import (
	"bufio"
	"bytes"
	"io"
	"strings"
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

// TestConnectionLimit: more connections than configured are closed at once.
func TestConnectionLimit(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	cfg.Static += "set system services netconf ssh connection-limit 1\n"
	_, address := serve(t, cfg)
	first := mustConnect(t, address)
	if _, err := connect(t, address); err == nil {
		t.Error("a second connection")
	}
	first.client.Close()
	eventually(t, "the place is free", func() bool { _, err := connect(t, address); return err == nil })
}

// TestChunkSize: a reply in chunks of three bytes.
func TestChunkSize(t *testing.T) {
	cfg, _ := world(t, "")
	cfg.Version, cfg.ChunkSize = "24.4R1.9", 3
	cfg.Static += "set system services netconf rfc-compliant\nset system services netconf version-1.1\n"
	reply := exchange(t, cfg, usual, clientHello+"\n#42\n"+closing+"\n##\n")
	if !strings.Contains(reply, "\n#3\n<nc\n#3\n:rp\n#3\nc-r") || !strings.HasSuffix(reply, "\n##\n") {
		t.Errorf("%q", reply)
	}
}
