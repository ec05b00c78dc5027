package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

// config is a fabric of the talk that runs the programs beside this one.
func config(cmd *cobra.Command, topology lab.Topology) (lab.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return lab.Config{}, fmt.Errorf("finding our own program: %w", err)
	}
	return lab.Config{
		Topology: topology,
		Binaries: lab.BinariesIn(filepath.Dir(self)),
		Out:      cmd.OutOrStdout(),
	}, nil
}

// talk is the fabric of the talk under a name of one's own.
func talk(name string, rival bool) lab.Topology {
	topology := lab.Talk()
	topology.Name = name
	if rival {
		return topology.AllFRR()
	}
	return topology
}

func rivalFlag(cmd *cobra.Command, rival *bool) {
	cmd.Flags().BoolVar(rival, "frr", false, "run FRR in the places of Junos and of our agents")
}

func nameFlag(cmd *cobra.Command, name *string, standard string) {
	cmd.Flags().StringVar(name, "name", standard, "name of the fabric, with which those of its namespaces begin")
}

func upCommand() *cobra.Command {
	var rival bool
	var name, release string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the fabric of the talk up and leave it running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			topology := talk(name, rival)
			topology.Junos = release
			cfg, err := config(cmd, topology)
			if err != nil {
				return err
			}
			return up(cmd.Context(), cfg)
		},
	}
	rivalFlag(cmd, &rival)
	cmd.Flags().StringVar(&release, "junos", "", "release whose habits the simulated Junos has: 18.4R1, 20.4R1, 21.4R1, 24.4R1 or rfc-compliant")
	nameFlag(cmd, &name, standardName)
	return cmd
}

// standardName is that of the fabric that up leaves for the other commands.
const standardName = "lm"

func up(ctx context.Context, cfg lab.Config) error {
	f, err := lab.Up(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(cfg.Out, "waiting for the routes")
	err = f.AwaitConverged(ctx)
	if ctx.Err() != nil {
		return errors.Join(lab.ErrInterrupted, f.Close())
	}
	if keepErr := f.Keep(); keepErr != nil {
		return errors.Join(err, keepErr)
	}
	if err != nil {
		// It stays: one that does not converge is one to look into.
		return fmt.Errorf("the fabric is up, but not converged (see %s): %w", hints(cfg.Topology.Name, "status", "down"), err)
	}
	_, err = fmt.Fprintln(cfg.Out, "the fabric is up: see "+hints(cfg.Topology.Name, "status", "shell", "down"))
	return err
}

// hints is commands for the fabric of that name.
func hints(name string, commands ...string) string {
	flag := ""
	if name != standardName {
		flag = " --name " + name
	}
	for i, command := range commands {
		if command == "shell" {
			command += " bms1"
		}
		commands[i] = "`lab " + command + flag + "`"
	}
	return strings.Join(commands, ", ")
}

func downCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take the fabric down, or what is left of it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return lab.Down(cmd.Context(), name) },
	}
	nameFlag(cmd, &name, standardName)
	return cmd
}

func statusCommand() *cobra.Command {
	var format, name string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the nodes of the running fabric, their processes, sessions and routes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("output %q is not allowed: text or json", format)
			}
			f, err := lab.Open(name)
			if err != nil {
				return err
			}
			s, err := f.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := writeStatus(cmd.OutOrStdout(), s, format); err != nil {
				return err
			}
			if s.Missing != "" {
				return lab.ExitStatus(1) // it is said already
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	nameFlag(cmd, &name, standardName)
	return cmd
}

func writeStatus(w io.Writer, s lab.Status, format string) error {
	if format == "text" {
		return s.WriteText(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// controlCommand is a command that does something to the daemon of one node.
func controlCommand(use, short string, do func(*lab.Fabric, context.Context, string) error) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   use + " NODE",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := lab.Open(name)
			if err != nil {
				return err
			}
			return do(f, cmd.Context(), args[0])
		},
	}
	nameFlag(cmd, &name, standardName)
	return cmd
}

func stopCommand() *cobra.Command {
	return controlCommand("stop", "Stop the daemon of a server, a switchagent or a simulated Junos", (*lab.Fabric).Stop)
}

func startCommand() *cobra.Command {
	return controlCommand("start", "Start what stop stopped; a simulated Junos boots", (*lab.Fabric).Start)
}

func shellCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "shell NODE [[--] COMMAND [ARGUMENT...]]",
		Short: "Run a shell or a command in a node of the running fabric",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := lab.Open(name)
			if err != nil {
				return err
			}
			// Signals of the terminal are the command's own business.
			return f.Shell(context.WithoutCancel(cmd.Context()), args[0], shellArgs(args[1:]))
		},
	}
	nameFlag(cmd, &name, standardName)
	// What follows the node's name is the command's, dashes and all.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// shellArgs is the command behind a node's name. The -- that ends other
// programs' options may stand before it.
func shellArgs(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

func faultCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "fault NODE FAULT|list|log|clear [N]|ethertype [on|off]",
		Short: "Let something go wrong on a Junos leaf; see docs/lab.md for the faults",
		Example: `  lab fault leaf1 reset-after
  lab fault leaf1 drop rpc=get-ipv6-nd-information after=500 count=3
  lab fault leaf1 refuse text="neighbor fe80::2" count=all
  lab fault leaf1 clear
  lab fault leaf1 ethertype off`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := lab.Open(name)
			if err != nil {
				return err
			}
			text, err := f.Fault(cmd.Context(), args[0], lab.FaultCommand(args[1:]))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	nameFlag(cmd, &name, standardName)
	return cmd
}

func janitorCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "janitor FABRIC",
		Short:  "Take the fabric down when standard input ends",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(_ *cobra.Command, args []string) error { return lab.Janitor(args[0], os.Stdin) },
	}
}

func junosCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:    "junos",
		Short:  "Be the simulated Junos of a leaf",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return lab.RunJunos(cmd.Context(), path) },
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file, in JSON")
	return cmd
}
