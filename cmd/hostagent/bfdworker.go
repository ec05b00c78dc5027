package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/daemon"
	"lastmile/hostagent/bfd/worker"
)

// bfdWorkerCommand is the process that hostagent starts to run BFD in. Nobody
// else can.
func bfdWorkerCommand() *cobra.Command {
	var socket string
	var orphan time.Duration
	cmd := &cobra.Command{
		Use:    worker.Command,
		Short:  "Run the BFD worker; only hostagent itself can",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			log, err := daemon.NewLogger(os.Stderr, "info")
			if err != nil {
				return err
			}
			return worker.Main(worker.Config{Socket: socket, Orphan: orphan, Log: log})
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "path of the socket that it listens on")
	cmd.Flags().DurationVar(&orphan, "orphan", worker.DefaultOrphan, "how long to wait for a hostagent")
	return cmd
}
