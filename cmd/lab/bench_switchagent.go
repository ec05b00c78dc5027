package main

import (
	"time"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func pollCommand() *cobra.Command {
	var cfg lab.PollConfig
	cmd := measuring("poll", "One poll of large neighbour tables, time and memory: switchagent's client, PyEZ and ncclient",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Poll(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().IntSliceVar(&cfg.Sizes, "sizes", []int{100, 10_000, 50_000}, "entries of the neighbour table")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 5, "how many processes of each client poll each table")
	cmd.Flags().IntVar(&cfg.Polls, "polls", 3, "how often each process polls")
	cmd.Flags().StringSliceVar(&cfg.Only, "only", nil, "clients to measure, of switchagent, PyEZ, \"PyEZ NdTable\" and ncclient; all if empty")
	return cmd
}

func sidecarsCommand() *cobra.Command {
	var cfg lab.SidecarsConfig
	cmd := measuring("sidecars", "What switchagents take that poll simulated leaves where nothing changes",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Sidecars(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().IntSliceVar(&cfg.Counts, "counts", []int{1, 100}, "how many switchagents, each before a leaf of its own")
	cmd.Flags().IntVar(&cfg.Servers, "servers", 48, "servers of each leaf")
	cmd.Flags().DurationVar(&cfg.For, "for", time.Minute, "how long they are watched")
	return cmd
}

func portsCommand() *cobra.Command {
	var cfg lab.PortsConfig
	cmd := measuring("ports", "Let many ports of one simulated leaf come up within seconds, and count commits and bytes",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Ports(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().IntVar(&cfg.Ports, "ports", 1000, "how many ports")
	cmd.Flags().DurationVar(&cfg.Over, "over", 10*time.Second, "the time in which they come up, evenly")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "how often, with an inventory and without")
	return cmd
}
