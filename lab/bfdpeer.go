package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A bfdPeer is a leaf's BFD: cmd/bfdpeer, the same before every daemon. It
// counts how often the sessions come up.
type bfdPeer struct {
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

// bfdSession is one as cmd/bfdpeer shows it.
type bfdSession struct {
	Peer  netip.Addr
	Up    bool
	Ready bool // up, and both ends keep the timers that are wanted
	Ups   uint64
	// Failures are those that routing would act upon, and Expired those of them that
	// this end noticed.
	Failures, Expired uint64
	Late              uint64
	LateMax           time.Duration
}

// startPeer starts one on the leaf, for peers with the link as their zone.
func (s *bfdStage) startPeer(peers []netip.Addr) (*bfdPeer, error) {
	args := []string{
		"-socket", filepath.Join(s.dir, "peer.sock"), "-interval", s.Timers.Interval.String(), "-multiplier", fmt.Sprint(s.Timers.Multiplier),
	}
	for _, p := range peers {
		args = append(args, p.String())
	}
	p := &bfdPeer{cmd: exec.Command(s.Binaries.BFDPeer, args...)}
	log, err := os.Create(filepath.Join(s.dir, "bfdpeer.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as all that the lab starts
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := s.leaf.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("starting bfdpeer: %w", err)
	}
	return p, nil
}

// sessions asks for all of them.
func (p *bfdPeer) sessions() ([]bfdSession, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		return nil, fmt.Errorf("asking bfdpeer: %w", err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("asking bfdpeer: %w", err)
	}
	var all []bfdSession
	if err := json.Unmarshal(line, &all); err != nil {
		return nil, fmt.Errorf("asking bfdpeer: %w", err)
	}
	return all, nil
}

// close ends the peer, which says AdminDown.
func (p *bfdPeer) close() error {
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("bfdpeer: %w", err)
	}
	return nil
}
