// Package typos has a misspelt command refused, in all commands of lastmile alike.
package typos

import "github.com/spf13/cobra"

// Refuse makes a word that is no command an error at every level: cobra shows the help of a
// command below the root instead, and ends well.
func Refuse(parent *cobra.Command) {
	if !parent.HasSubCommands() {
		return
	}
	parent.Args = cobra.NoArgs
	parent.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, child := range parent.Commands() {
		Refuse(child)
	}
}
