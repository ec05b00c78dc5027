// Command hostagent makes a server reachable by its own addresses over every
// link that it has to a leaf. See docs/hostagent.md.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/daemon"
	"lastmile/cmd/internal/typos"
	"lastmile/hostagent"
)

const defaultConfig = "/etc/hostagent/hostagent.yaml"

func main() {
	if err := rootCommand().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "hostagent:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hostagent",
		Short:         "Peer with the leaf on every uplink, announce this server's addresses, route over all leaves",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), checkCommand(), showCommand(), repairCommand(), bfdWorkerCommand(), versionCommand())
	root.InitDefaultCompletionCmd()
	typos.Refuse(root)
	return root
}

func runCommand() *cobra.Command {
	var path, level, socket string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := hostagent.DefaultConfig()
			if err := daemon.Load(path, &cfg); err != nil {
				return err
			}
			if socket != "" {
				cfg.Socket = socket
			}
			log, err := daemon.NewLogger(os.Stderr, level)
			if err != nil {
				return err
			}
			reg := daemon.NewRegistry("hostagent")
			if os.Getenv("GOGC") == "" {
				// Whole tables come rarely and stay: memory is worth more than a tenth of a load's time.
				debug.SetGCPercent(50)
			}
			agent := hostagent.New(cfg, log, reg)
			go reloadOnHangup(cmd.Context(), agent, path, log)
			return daemon.Service{
				Listen: cfg.Listen, Registry: reg, Log: log,
				Health: agent.Health, Notes: agent.Notes, Alive: agent.Alive, Run: agent.Run,
			}.Serve(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", defaultConfig, "configuration file")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&socket, "socket", "", "unix socket of the show commands, instead of the configured one")
	return cmd
}

// reloadOnHangup reads the configuration again whenever the process gets SIGHUP.
// One that is wrong in part is not taken over in part.
func reloadOnHangup(ctx context.Context, agent *hostagent.Agent, path string, log *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		cfg := hostagent.DefaultConfig()
		err := daemon.Load(path, &cfg)
		if err != nil {
			agent.NotReloaded()
		} else {
			err = agent.Reload(ctx, cfg)
		}
		if err != nil {
			log.Error("configuration not reloaded", "err", err)
		}
	}
}

func checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file, and do nothing else",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := hostagent.DefaultConfig()
			if err := daemon.Load(path, &cfg); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), path, "is good")
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", defaultConfig, "configuration file")
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of the program, its commit and the Go release", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := daemon.Version("hostagent")
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return err
		},
	}
}
