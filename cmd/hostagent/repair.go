package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lastmile/hostagent"
)

func showRepair() *cobra.Command {
	return &cobra.Command{
		Use:   "repair",
		Short: "The program on each uplink that repairs mis-typed frames, and what it has counted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show[hostagent.Repair](cmd, "repair")
		},
	}
}

func repairCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Take the program that repairs mis-typed frames off the uplinks, or put it on again",
	}
	cmd.AddCommand(repairDetach(), repairAttach())
	cmd.PersistentFlags().String("socket", hostagent.DefaultConfig().Socket, "unix socket of the daemon")
	return cmd
}

func repairDetach() *cobra.Command {
	return &cobra.Command{
		Use:   "detach [LINK]",
		Short: "Take the program off an interface, or off all",
		Long: "Take the program off an interface, or off all. While the daemon runs it stays off until `repair attach` or the next start;\n" +
			"`repair: {mode: off}` in the configuration keeps it off. Without the daemon, what it has left is removed.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			link := strings.Join(args, "")
			links, err := detach(cmd, link)
			return told(cmd, "detached", links, err)
		},
	}
}

// detach asks the daemon behind the socket if one was named and it answers, or if one is found to hold the programs.
func detach(cmd *cobra.Command, link string) ([]string, error) {
	order := func() ([]string, error) {
		return hostagent.OrderRepair(cmd.Context(), socketOf(cmd), "detach", link)
	}
	if cmd.Flags().Changed("socket") {
		links, err := order()
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return links, err
		}
	}
	links, err := hostagent.DetachRepair(link)
	if errors.Is(err, hostagent.ErrRepairRuns) {
		return order()
	}
	return links, err
}

func repairAttach() *cobra.Command {
	return &cobra.Command{
		Use:   "attach [LINK]",
		Short: "Have the daemon put the program on again after `repair detach`",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			links, err := hostagent.OrderRepair(cmd.Context(), socketOf(cmd), "attach", strings.Join(args, ""))
			return told(cmd, "attached", links, err)
		},
	}
}

func told(cmd *cobra.Command, what string, links []string, err error) error {
	if err != nil {
		return err
	}
	if len(links) == 0 {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "no program of ours is there")
	}
	for _, link := range links {
		fmt.Fprintln(cmd.OutOrStdout(), link, what)
	}
	return err
}
