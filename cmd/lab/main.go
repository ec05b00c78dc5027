// Command lab builds a lastmile fabric in network namespaces, plays in it and
// measures it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "lab",
		Short:         "a whole lastmile fabric on one machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(up(), down(), janitor())
	return root
}

func up() *cobra.Command {
	var rival bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "bring the fabric of the talk up and leave it running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			topology := lab.Talk()
			if rival {
				topology = topology.AllFRR()
			}
			ctx := cmd.Context()
			f, err := lab.Up(ctx, lab.Config{
				Topology: topology, Binaries: lab.BinariesIn(filepath.Dir(self)), Out: cmd.OutOrStdout(),
			})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			t0 := time.Now()
			if err := f.AwaitConverged(ctx); err != nil {
				f.Close()
				return err
			}
			fmt.Println(time.Since(t0))
			return f.Keep()
		},
	}
	cmd.Flags().BoolVar(&rival, "frr", false, "")
	return cmd
}

func down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "take the fabric down",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return lab.Down(cmd.Context(), "lm") },
	}
}

func janitor() *cobra.Command {
	return &cobra.Command{
		Use:    "janitor FABRIC",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(_ *cobra.Command, args []string) error { return lab.Janitor(args[0], os.Stdin) },
	}
}
