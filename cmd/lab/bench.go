package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure, side by side with FRR and BIRD where they do the same job"}
	cmd.AddCommand(bringupCommand(), scaleCommand(), tableCommand(), failoverCommand(), bfdCommand(), etherfixCommand(),
		pollCommand(), sidecarsCommand(), portsCommand())
	return cmd
}

func bringupCommand() *cobra.Command {
	var runs, linkRuns int
	var name string
	cmd := measuring("bringup", "Time from the start of a server's daemon, and from a link coming up, to its ECMP route: hostagent and FRR",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			if runs < 0 || linkRuns < 0 || runs+linkRuns == 0 {
				return nil, fmt.Errorf("runs %d and link-runs %d are not allowed: 0 or more, and not 0 both", runs, linkRuns)
			}
			base.Topology = talk(name, false)
			return whole(lab.Bringup(cmd.Context(), base, runs, linkRuns))
		})
	cmd.Flags().IntVar(&runs, "runs", 20, "how many starts of each daemon")
	cmd.Flags().IntVar(&linkRuns, "link-runs", 30, "how often each link comes up, with each daemon running")
	nameFlag(cmd, &name, "lmbringup")
	return cmd
}

func scaleCommand() *cobra.Command {
	var servers int
	var name string
	cmd := measuring("scale", "Let many servers appear on one Junos leaf at once, and count commits and sessions",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			topology, err := lab.Crowd(name, servers)
			if err != nil {
				return nil, err
			}
			base.Topology = topology
			return whole(lab.Scale(cmd.Context(), base))
		})
	cmd.Flags().IntVar(&servers, "servers", 200, "how many servers")
	nameFlag(cmd, &name, "lmscale")
	return cmd
}

func tableCommand() *cobra.Command {
	var cfg lab.TableConfig
	cmd := measuring("table", "Whole tables from two leaves into the kernel, and off a leaf that is lost: hostagent, FRR and BIRD",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			report, err := lab.Table(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().IntSliceVar(&cfg.Sizes, "sizes", []int{10, 10_000, 100_000, 500_000}, "sizes of tables, in prefixes")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "how often each daemon takes each table")
	cmd.Flags().IntVar(&cfg.Once, "once", 1_000_000, "a size that is measured once; 0 for none")
	cmd.Flags().StringSliceVar(&cfg.Only, "only", nil, "daemons to measure, of hostagent, frr, bird, \"own writer\" and \"ip -batch\"; all if empty")
	cmd.Flags().IntVar(&cfg.PerPath, "per-path", 500, "how many prefixes share their attributes")
	nameFlag(cmd, &cfg.Name, "lmtable")
	return cmd
}

func failoverCommand() *cobra.Command {
	var sizeTimers string
	var timers []string
	var cfg lab.FailoverConfig
	cmd := measuring("failover", "Time from the death of an uplink until no route leads over it: hostagent, FRR and BIRD",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			var err error
			if cfg.SizeTimers, err = lab.ParseBFDTimers(sizeTimers); err != nil {
				return nil, err
			}
			for _, text := range timers {
				t, err := lab.ParseBFDTimers(text)
				if err != nil {
					return nil, err
				}
				cfg.Timers = append(cfg.Timers, t)
			}
			report, err := lab.Failover(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().StringSliceVar(&timers, "bfd", []string{"300x3", "50x3", "10x3"}, "BFD timers with which packets are lost silently, in ms x multiplier")
	cmd.Flags().IntVar(&cfg.Few, "routes", 10, "routes with them, and when the carrier is lost")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 20, "how often the uplink of each daemon dies in each way, with --routes; with larger tables see --size-runs")
	cmd.Flags().IntSliceVar(&cfg.Sizes, "sizes", []int{10_000, 100_000}, "larger tables, with both ways")
	cmd.Flags().StringVar(&sizeTimers, "size-bfd", "50x3", "BFD timers with larger tables, and when the carrier is lost")
	cmd.Flags().IntVar(&cfg.SizeRuns, "size-runs", 5, "how often the uplink dies with larger tables, whatever --runs says")
	cmd.Flags().StringSliceVar(&cfg.Only, "only", nil, "daemons to measure, of hostagent, frr and bird; all if empty")
	nameFlag(cmd, &cfg.Name, "lmfailover")
	return cmd
}

func bfdCommand() *cobra.Command {
	var timers string
	var cfg lab.DropsConfig
	cmd := measuring("bfd", "Count BFD sessions that fall for no reason but a busy machine: hostagent, FRR and BIRD",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			cfg.Binaries, cfg.Out = base.Binaries, base.Out
			var err error
			if cfg.Timers, err = lab.ParseBFDTimers(timers); err != nil {
				return nil, err
			}
			report, err := lab.FalseDrops(cmd.Context(), cfg)
			return some(report, len(report.Results), err)
		})
	cmd.Flags().StringVar(&timers, "bfd", "10x3", "BFD timers, in ms x multiplier")
	cmd.Flags().IntVar(&cfg.Sessions, "sessions", 6, "sessions of each daemon")
	cmd.Flags().DurationVar(&cfg.For, "for", time.Minute, "how long the sessions are watched under each stress")
	cmd.Flags().StringSliceVar(&cfg.Stress, "stress", nil, "what the machine does meanwhile, of idle, \"cpu 4\", \"cpu 16\", mix, churn and calls; all if empty")
	cmd.Flags().StringSliceVar(&cfg.Only, "only", nil, "daemons to measure, of hostagent, frr and bird; all if empty")
	nameFlag(cmd, &cfg.Name, "lmbfd")
	return cmd
}

func etherfixCommand() *cobra.Command {
	var runs int
	cmd := measuring("etherfix", "What the EtherType repair costs by frame, and packets a second with and without it",
		func(cmd *cobra.Command, _ lab.Config) (report, error) {
			if runs < 1 {
				return nil, fmt.Errorf("runs %d is not allowed: 1 or more", runs)
			}
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			return whole(lab.Etherfix(cmd.Context(), runs, say))
		})
	cmd.Flags().IntVar(&runs, "runs", 50, "how many runs, in each of which every case has its turn")
	return cmd
}
