package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure, side by side with FRR where it does the same job"}
	cmd.AddCommand(bringupCommand(), scaleCommand(), etherfixCommand())
	return cmd
}

// A report is the result of a measurement.
type report interface {
	WriteTable(io.Writer) error
	WriteJSON(path string) error
}

// publish shows a report and keeps it, if there is a place to.
func publish(cmd *cobra.Command, r report, path string) error {
	fmt.Fprintln(cmd.OutOrStdout())
	err := r.WriteTable(cmd.OutOrStdout())
	if path != "" {
		err = errors.Join(err, r.WriteJSON(path))
	}
	return err
}

func bringupCommand() *cobra.Command {
	var runs int
	var path, name string
	cmd := &cobra.Command{
		Use:   "bringup",
		Short: "Time from the start of a server's daemon to its ECMP route: hostagent and FRR",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runs < 1 {
				return fmt.Errorf("runs %d is not allowed: 1 or more", runs)
			}
			cfg, err := config(cmd, talk(name, false))
			if err != nil {
				return err
			}
			report, err := lab.Bringup(cmd.Context(), cfg, runs)
			if err != nil {
				return err
			}
			return publish(cmd, report, path)
		},
	}
	cmd.Flags().IntVar(&runs, "runs", 20, "how many starts of each daemon")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	nameFlag(cmd, &name, "lmbringup")
	return cmd
}

func scaleCommand() *cobra.Command {
	var servers int
	var path, name string
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Let many servers appear on one Junos leaf at once, and count commits and sessions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			topology, err := lab.Crowd(name, servers)
			if err != nil {
				return err
			}
			cfg, err := config(cmd, topology)
			if err != nil {
				return err
			}
			report, err := lab.Scale(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return publish(cmd, report, path)
		},
	}
	cmd.Flags().IntVar(&servers, "servers", 200, "how many servers")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	nameFlag(cmd, &name, "lmscale")
	return cmd
}

func etherfixCommand() *cobra.Command {
	var runs int
	var path string
	cmd := &cobra.Command{
		Use:   "etherfix",
		Short: "What the EtherType repair costs by frame, and packets a second with and without it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runs < 1 {
				return fmt.Errorf("runs %d is not allowed: 1 or more", runs)
			}
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			report, err := lab.Etherfix(cmd.Context(), runs, say)
			if err != nil {
				return err
			}
			return publish(cmd, report, path)
		},
	}
	cmd.Flags().IntVar(&runs, "runs", 50, "how many runs, in each of which every case has its turn")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	return cmd
}
