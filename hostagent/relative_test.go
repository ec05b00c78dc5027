package hostagent_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"lastmile/hostagent"
)

// TestRelativeSocket: the BFD worker, which works in another directory, has its socket beside hostagent's all the same.
func TestRelativeSocket(t *testing.T) {
	s := newHost(t)
	s.cmd = exec.Command(s.bin, "run", "--config", s.config(t, `uplinks: ["eth*"]`), "--socket", filepath.Base(s.socket))
	s.cmd.Dir = filepath.Dir(s.socket)
	s.launch(t)
	await(t, func() error { return hasWorker(t.Context(), s.socket) })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// hasWorker says if the hostagent at the socket has no BFD worker.
func hasWorker(ctx context.Context, socket string) error {
	var answer hostagent.BFD
	if err := hostagent.Ask(ctx, socket, "bfd", &answer); err != nil {
		return err
	}
	if !answer.Worker.Running {
		return fmt.Errorf("no BFD worker: %+v", answer.Worker)
	}
	return nil
}
