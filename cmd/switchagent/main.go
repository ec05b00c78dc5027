// Command switchagent gives every server behind a Juniper leaf its stanza, a
// committed BGP neighbor statement. See docs/switchagent.md.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/daemon"
	"lastmile/cmd/internal/typos"
	"lastmile/switchagent"
)

const defaultConfig = "/etc/switchagent/switchagent.yaml"

func main() {
	if err := rootCommand().Execute(); err != nil {
		status := exitStatus(err)
		if !errors.Is(err, errTodo) {
			fmt.Fprintln(os.Stderr, "switchagent:", err)
		}
		os.Exit(status)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "switchagent", SilenceUsage: true, SilenceErrors: true,
		Short: "Add a BGP neighbour on a Juniper leaf for every server that appears on its ports",
	}
	var path, level string
	root.PersistentFlags().StringVar(&path, "config", defaultConfig, "configuration file")
	run := &cobra.Command{Use: "run", Short: "Run the daemon", Args: cobra.NoArgs}
	run.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	run.RunE = func(cmd *cobra.Command, _ []string) error { return runDaemon(cmd, path, level) }
	check := &cobra.Command{Use: "check", Short: "Check the configuration and the files it names, and do nothing else", Args: cobra.NoArgs}
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := switchagent.DefaultConfig()
		if err := daemon.Load(path, &cfg); err != nil {
			return err
		}
		warning, err := cfg.CheckFiles()
		if warning != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
		}
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), path, "is good")
		}
		return err
	}
	root.AddCommand(run, check, versionCommand())
	root.AddCommand(operatorCommands(&path)...)
	root.InitDefaultCompletionCmd()
	typos.Refuse(root)
	return root
}

func runDaemon(cmd *cobra.Command, path, level string) error {
	cfg := switchagent.DefaultConfig()
	if err := daemon.Load(path, &cfg); err != nil {
		return err
	}
	log, err := daemon.NewLogger(cmd.ErrOrStderr(), level)
	if err != nil {
		return err
	}
	// Files that go bad later are another matter: they are read anew for every session, and mended
	// while the daemon runs. One that starts without has never been of use to anybody.
	warning, err := cfg.CheckFiles()
	if err != nil {
		return err
	}
	if warning != "" {
		log.Warn("key is not private", "warning", warning)
	}
	reg := daemon.NewRegistry("switchagent")
	agent := switchagent.New(cfg, log, reg)
	return daemon.Service{Listen: cfg.Listen, Registry: reg, Log: log, Health: agent.Health, Run: agent.Run}.Serve(cmd.Context())
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of the program, its commit and the Go release", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := daemon.Version("switchagent")
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return err
		},
	}
}
