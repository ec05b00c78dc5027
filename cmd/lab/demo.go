package main

import (
	"errors"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func demoCommand() *cobra.Command {
	var name string
	var rival bool
	cmd := measuring("demo", "Bring a fabric up, play the six scenes in it, and take it down",
		func(cmd *cobra.Command, base lab.Config) (report, error) {
			base.Topology = talk(name, rival)
			report, err := lab.Demo(cmd.Context(), base)
			if err == nil && !report.AllHold {
				err = errors.New("not all scenes hold")
			}
			return some(report, len(report.Scenes), err)
		})
	rivalFlag(cmd, &rival)
	// A fabric of its own: one that `lab up` left running stays.
	nameFlag(cmd, &name, "lmdemo")
	return cmd
}
