package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lastmile/lab"
)

// A report is the result of a measurement.
type report interface {
	WriteTable(io.Writer) error
	WriteJSON(path string) error
}

// measuring is a command that measures. What it is given are the programs beside this one
// and where progress is told. measure returns a report even beside an error if it got so far
// that there is something to show, nil if not.
func measuring(use, short string, measure func(*cobra.Command, lab.Config) (report, error)) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := config(cmd, lab.Topology{})
			if err != nil {
				return err
			}
			r, err := measure(cmd, base)
			if r != nil {
				err = errors.Join(err, publish(cmd, r, path))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "json", "", "write every figure into this file")
	return cmd
}

// some is a report with so many results, or nil if there are none.
func some(r report, results int, err error) (report, error) {
	if results == 0 {
		return nil, err
	}
	return r, err
}

// whole is a report that is worth nothing beside an error.
func whole(r report, err error) (report, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// publish shows a report and keeps it, if there is a place to.
func publish(cmd *cobra.Command, r report, path string) error {
	fmt.Fprintln(cmd.OutOrStdout())
	err := r.WriteTable(cmd.OutOrStdout())
	if path != "" {
		err = errors.Join(err, r.WriteJSON(path))
	}
	return err
}
