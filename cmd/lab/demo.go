package main

import (
	"errors"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func demoCommand() *cobra.Command {
	var path, name string
	var rival bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Bring a fabric up, play the six scenes in it, and take it down",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config(cmd, talk(name, rival))
			if err != nil {
				return err
			}
			report, err := lab.Demo(cmd.Context(), cfg)
			if len(report.Scenes) > 0 {
				err = errors.Join(err, publish(cmd, report, path))
			}
			if err == nil && !report.AllHold {
				err = errors.New("not all scenes hold")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	rivalFlag(cmd, &rival)
	// A fabric of its own: one that `lab up` left running stays.
	nameFlag(cmd, &name, "lmdemo")
	return cmd
}
