package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lastmile/hostagent"
)

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what the running daemon knows",
		Args:  cobra.NoArgs, // an unknown word is an error, not a request for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		show[hostagent.Neighbors]("neighbors", "The leaf on each uplink and the session with it"),
		show[hostagent.Routes]("routes", "Every route heard, and why it is used or not"),
	)
	cmd.PersistentFlags().String("socket", hostagent.DefaultConfig().Socket, "unix socket of the daemon")
	cmd.PersistentFlags().StringP("output", "o", "text", "text or json")
	return cmd
}

// show makes the command that asks the daemon for what and prints it.
func show[T interface{ WriteText(io.Writer) error }](what, short string) *cobra.Command {
	return &cobra.Command{
		Use:   what,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, _ := cmd.Flags().GetString("socket")
			format, _ := cmd.Flags().GetString("output")
			if format != "text" && format != "json" {
				return fmt.Errorf("output %q is not allowed: text or json", format)
			}
			var answer T
			if err := hostagent.Ask(cmd.Context(), socket, what, &answer); err != nil {
				return err
			}
			if format == "text" {
				return answer.WriteText(cmd.OutOrStdout())
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(answer)
		},
	}
}
