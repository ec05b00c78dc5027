package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

// base is what every bench of switchagent needs.
func base(cmd *cobra.Command) (lab.Config, error) { return config(cmd, lab.Topology{}) }

func pollCommand() *cobra.Command {
	var path string
	var cfg lab.PollConfig
	cmd := &cobra.Command{
		Use:   "poll",
		Short: "One poll of large neighbour tables, time and memory: switchagent's client, PyEZ and ncclient",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := base(cmd)
			if err != nil {
				return err
			}
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Poll(cmd.Context(), cfg)
			if len(report.Results) > 0 {
				err = errors.Join(err, publish(cmd, report, path))
			}
			return err
		},
	}
	cmd.Flags().IntSliceVar(&cfg.Sizes, "sizes", []int{100, 10_000, 50_000}, "entries of the neighbour table")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 5, "how many processes of each client poll each table")
	cmd.Flags().IntVar(&cfg.Polls, "polls", 3, "how often each process polls")
	cmd.Flags().StringSliceVar(&cfg.Only, "only", nil, "clients to measure, of switchagent, PyEZ, \"PyEZ NdTable\" and ncclient; all if empty")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	return cmd
}

func sidecarsCommand() *cobra.Command {
	var path string
	var cfg lab.SidecarsConfig
	cmd := &cobra.Command{
		Use:   "sidecars",
		Short: "What switchagents take that poll simulated leaves where nothing changes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := base(cmd)
			if err != nil {
				return err
			}
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Sidecars(cmd.Context(), cfg)
			if len(report.Results) > 0 {
				err = errors.Join(err, publish(cmd, report, path))
			}
			return err
		},
	}
	cmd.Flags().IntSliceVar(&cfg.Counts, "counts", []int{1, 100}, "how many switchagents, each before a leaf of its own")
	cmd.Flags().IntVar(&cfg.Servers, "servers", 48, "servers of each leaf")
	cmd.Flags().DurationVar(&cfg.For, "for", time.Minute, "how long they are watched")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	return cmd
}

func portsCommand() *cobra.Command {
	var path string
	var cfg lab.PortsConfig
	cmd := &cobra.Command{
		Use:   "ports",
		Short: "Let many ports of one simulated leaf come up within seconds, and count commits and bytes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := base(cmd)
			if err != nil {
				return err
			}
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Ports(cmd.Context(), cfg)
			if len(report.Results) > 0 {
				err = errors.Join(err, publish(cmd, report, path))
			}
			return err
		},
	}
	cmd.Flags().IntVar(&cfg.Ports, "ports", 1000, "how many ports")
	cmd.Flags().DurationVar(&cfg.Over, "over", 10*time.Second, "the time in which they come up, evenly")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "how often, with an inventory and without")
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	return cmd
}
