package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

func demoCommand() *cobra.Command {
	var path string
	var rival bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Bring a fabric up, play the five scenes in it, and take it down",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			topology := lab.Talk()
			if rival {
				topology = topology.AllFRR()
			}
			// A fabric of its own: one that `lab up` left running stays.
			topology.Name = "lmdemo"
			cfg, err := config(cmd, topology)
			if err != nil {
				return err
			}
			report, err := lab.Demo(cmd.Context(), cfg)
			if path != "" && len(report.Scenes) > 0 {
				err = errors.Join(err, report.WriteJSON(path))
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cfg.Out)
			if err := report.WriteTable(cfg.Out); err != nil {
				return err
			}
			if !report.AllHolds {
				return errors.New("not all scenes hold")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	cmd.Flags().BoolVar(&rival, "frr", false, "run FRR in the places of Junos and of our agents")
	return cmd
}

func benchCommand() *cobra.Command {
	return &cobra.Command{Use: "bench"}
}
