package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"lastmile/hostagent"
)

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what the running daemon knows",
	}
	cmd.AddCommand(showNeighbors(), showRoutes(), showBFD(), showRepair())
	cmd.PersistentFlags().String("socket", hostagent.DefaultConfig().Socket, "unix socket of the daemon")
	cmd.PersistentFlags().StringP("output", "o", "text", "text or json")
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if format, _ := cmd.Flags().GetString("output"); format != "text" && format != "json" {
			return fmt.Errorf("output %q is not allowed: text or json", format)
		}
		return nil
	}
	return cmd
}

func showNeighbors() *cobra.Command {
	return &cobra.Command{
		Use:   "neighbors",
		Short: "The leaf on each uplink and the session with it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show[hostagent.Neighbors](cmd, "neighbors")
		},
	}
}

func showBFD() *cobra.Command {
	return &cobra.Command{
		Use:   "bfd",
		Short: "The BFD session with the leaf on each uplink",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show[hostagent.BFD](cmd, "bfd")
		},
	}
}

func showRoutes() *cobra.Command {
	var only4, only6 bool
	var uplink string
	cmd := &cobra.Command{
		Use:   "routes [PREFIX | ADDRESS]",
		Short: "Every route heard, and why it is used or not; or all of one",
		Long: "Every route heard, and why it is used or not. With a prefix, every path to exactly this prefix with all its attributes,\n" +
			"why the best is the best, and what the kernel has; with an address, the same of the longest prefix with the address in it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			switch {
			case len(args) == 1 && (only4 || only6 || uplink != ""):
				return errors.New("--ipv4, --ipv6 and --uplink are for the whole table, not for one prefix")
			case len(args) == 1:
				query.Set("of", args[0])
				return show[hostagent.Route](cmd, "route?"+query.Encode())
			case only4:
				query.Set("family", "ipv4")
			case only6:
				query.Set("family", "ipv6")
			}
			if uplink != "" {
				query.Set("uplink", uplink)
			}
			return showTable(cmd, "routes?"+query.Encode())
		},
	}
	cmd.Flags().BoolVar(&only4, "ipv4", false, "only IPv4 routes")
	cmd.Flags().BoolVar(&only6, "ipv6", false, "only IPv6 routes")
	cmd.Flags().StringVar(&uplink, "uplink", "", "only paths over this uplink")
	cmd.MarkFlagsMutuallyExclusive("ipv4", "ipv6")
	return cmd
}

// show asks the daemon for what and prints it.
func show[T interface{ WriteText(io.Writer) error }](cmd *cobra.Command, what string) error {
	var answer T
	if err := hostagent.Ask(cmd.Context(), socketOf(cmd), what, &answer); err != nil {
		return err
	}
	if format, _ := cmd.Flags().GetString("output"); format == "text" {
		return answer.WriteText(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(answer)
}

// showTable prints a table of any length as it comes.
func showTable(cmd *cobra.Command, what string) error {
	answer, err := hostagent.Open(cmd.Context(), socketOf(cmd), what)
	if err != nil {
		return err
	}
	defer answer.Close()
	if format, _ := cmd.Flags().GetString("output"); format == "text" {
		return hostagent.WriteRoutes(cmd.OutOrStdout(), answer)
	}
	if _, err := io.Copy(cmd.OutOrStdout(), answer); err != nil {
		return fmt.Errorf("reading hostagent's answer: %w", err)
	}
	return nil
}

func socketOf(cmd *cobra.Command) string {
	socket, _ := cmd.Flags().GetString("socket")
	return socket
}
