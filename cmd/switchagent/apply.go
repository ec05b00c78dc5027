package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/daemon"
	"lastmile/switchagent"
)

// told prints each commit before it is made, and what became of it.
type told struct {
	w    io.Writer
	some bool
}

func (t *told) Planned(v switchagent.Preview) {
	t.some = true
	writePreview(t.w, v)
}

func (t *told) Ended(outcome string, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(t.w, "# %s: %s\n", outcome, strings.ReplaceAll(err.Error(), "\n", " "))
	case outcome == "pending":
		fmt.Fprintln(t.w, "# committed on trial: the leaf takes it back unless all is well")
	default:
		fmt.Fprintln(t.w, "# "+outcome)
	}
}

// A round is one commit, and what became of it.
type round struct {
	switchagent.Preview
	Outcome string `json:"outcome"` // applied, refused, pending or unknown; empty if there was nothing to do
	Error   string `json:"error"`
}

// rounds is all that apply has done, for scripts.
type rounds struct {
	Rounds  []round `json:"rounds"`
	Applied bool    `json:"applied"` // something was committed, and is there to stay
	Remains bool    `json:"remains"` // and something is not
}

func (r *rounds) Planned(v switchagent.Preview) { r.Rounds = append(r.Rounds, round{Preview: v}) }

func (r *rounds) Ended(outcome string, err error) {
	last := &r.Rounds[len(r.Rounds)-1]
	last.Outcome, last.Error = outcome, ""
	if err != nil {
		last.Error = err.Error()
	}
	r.Applied = r.Applied || outcome == "applied"
}

func applyCommand(o *operator) *cobra.Command {
	var confirm time.Duration
	c := o.command("apply", "Print what is to be committed, commit it, and wait until the leaf holds it; status 2 if something remains")
	c.Flags().DurationVar(&confirm, "confirm", 0, "whole minutes such as 2m, after which the leaf takes the commit back unless all is well (default: confirm of the configuration); needs database: shared")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		cfg, err := o.load()
		if err == nil && cmd.Flags().Changed("confirm") {
			err = cfg.SetConfirm(confirm)
		}
		if err != nil {
			return err
		}
		log, err := daemon.NewLogger(cmd.ErrOrStderr(), o.level)
		if err != nil {
			return err
		}
		op := switchagent.Operate(cfg, log)
		if o.output == "text" {
			op.Tell(&told{w: cmd.OutOrStdout()})
			return op.Apply(ctx)
		}
		all := rounds{Rounds: []round{}}
		op.Tell(&all)
		err = op.Apply(ctx)
		all.Remains = errors.Is(err, switchagent.ErrRemains)
		return errors.Join(err, o.print(cmd, all, nil))
	})
}

func rollbackCommand(o *operator) *cobra.Command {
	var end, yes, force bool
	c := o.command("rollback", "Remove all stanzas of switchagent whose session is down")
	c.Flags().BoolVar(&end, "end-sessions", false, "also those whose session is up: it ends")
	c.Flags().BoolVar(&yes, "yes", false, "do it; without this it is only printed")
	c.Flags().BoolVar(&force, "force", false, "even if a switchagent runs, which will put them back")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		op, cfg, err := o.operate(cmd)
		if err != nil {
			return err
		}
		if yes && !force && answers(ctx, cfg.Listen) {
			return fmt.Errorf("a switchagent runs (http://%s answers) and would put them back: stop it first, or --force", cfg.Listen)
		}
		all, text := rounds{}, told{w: cmd.OutOrStdout()}
		op.Tell(&all)
		if o.output == "text" {
			op.Tell(&text)
		}
		v, err := op.Rollback(ctx, end, yes)
		if !text.some && v.Commands != nil { // else it was told when it was done, or there is nothing to tell
			result := struct {
				switchagent.Preview
				Applied bool `json:"applied"`
			}{v, all.Applied}
			err = errors.Join(err, o.print(cmd, result, func(w io.Writer) { writePreview(w, v) }))
		}
		if err == nil && !yes && len(v.Commands) > 0 {
			return errTodo
		}
		return err
	})
}
