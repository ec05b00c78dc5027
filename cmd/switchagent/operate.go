package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/daemon"
	"lastmile/switchagent"
)

// exitTodo is the exit status of a command that only looks and finds something to do, and of one that has
// done all that can be done now, where that is not all.
const exitTodo = 2

// errTodo ends a command with exitTodo and no message: what there is to do has been printed.
var errTodo = errors.New("there is something to do")

// exitStatus is 0, 1 for an error, 2 for something to do.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errTodo), errors.Is(err, switchagent.ErrRemains):
		return exitTodo
	}
	return 1
}

// operator is what the commands of a person have in common.
type operator struct {
	config *string
	output string
	level  string
}

func (o *operator) load() (switchagent.Config, error) {
	cfg := switchagent.DefaultConfig()
	err := daemon.Load(*o.config, &cfg)
	return cfg, err
}

func (o *operator) operate(cmd *cobra.Command) (*switchagent.Operation, switchagent.Config, error) {
	cfg, err := o.load()
	if err != nil {
		return nil, cfg, err
	}
	log, err := daemon.NewLogger(cmd.ErrOrStderr(), o.level)
	return switchagent.Operate(cfg, log), cfg, err
}

// command makes a command; running says what it does.
func (o *operator) command(use, short string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&o.level, "log-level", "warn", "debug, info, warn or error")
	return c
}

// running gives a command its work, with a context that ends with an interrupt.
func (o *operator) running(c *cobra.Command, run func(context.Context, *cobra.Command) error) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.output != "text" && o.output != "json" {
			return fmt.Errorf("output %q is not allowed: text or json is wanted", o.output)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		defer context.AfterFunc(ctx, stop)() // who interrupts twice means it
		return run(ctx, cmd)
	}
	return c
}

// print writes what was found, as JSON or by text.
func (o *operator) print(cmd *cobra.Command, found any, text func(io.Writer)) error {
	if o.output == "json" {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(found)
	}
	text(cmd.OutOrStdout())
	return nil
}

func operatorCommands(config *string) []*cobra.Command {
	return []*cobra.Command{
		planCommand(&operator{config: config}), applyCommand(&operator{config: config}), rollbackCommand(&operator{config: config}),
		showCommand(config), doctorCommand(&operator{config: config}), bootstrapCommand(&operator{config: config}),
	}
}

func planCommand(o *operator) *cobra.Command {
	c := o.command("plan", "Print what would be committed now; status 2 if that is something")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		op, _, err := o.operate(cmd)
		if err != nil {
			return err
		}
		v, err := op.Plan(ctx)
		if err != nil {
			return err
		}
		if err := o.print(cmd, v, func(w io.Writer) { writePreview(w, v) }); err != nil {
			return err
		}
		if v.Blocked != "" {
			return fmt.Errorf("nothing can be committed: %s", v.Blocked)
		}
		if len(v.Commands) > 0 || v.Unconfirmed != "" {
			return errTodo
		}
		return nil
	})
}

func writePreview(w io.Writer, v switchagent.Preview) {
	for _, command := range v.Commands {
		fmt.Fprintln(w, command)
	}
	for _, peer := range v.Refused {
		fmt.Fprintf(w, "# %s on %s: %s\n", peer.Address, peer.Link, peer.Reason)
	}
	for _, crowd := range v.Crowds {
		fmt.Fprintf(w, "# %d more on %s: port_full\n", crowd.More, crowd.Link)
	}
	for _, peer := range v.Absent {
		fmt.Fprintf(w, "# %s on %s %s; its stanza goes after hold_down, once its session is down\n", peer.Address, peer.Link, whyAbsent[peer.Reason])
	}
	for _, command := range v.Waiting {
		fmt.Fprintf(w, "# waits for the session to go down: %s\n", command)
	}
	for _, note := range v.Notes {
		fmt.Fprintf(w, "# %s\n", note)
	}
	if v.Unconfirmed != "" {
		fmt.Fprintf(w, "# not confirmed yet: %s\n", v.Unconfirmed)
	}
	if len(v.Commands) == 0 {
		fmt.Fprintf(w, "# nothing to do, %s established, %d of stanzas\n", count(v.Established, "session"), v.Served)
		return
	}
	fmt.Fprintf(w, "# +%s, -%d, ~%d; %s of %d touched\n", count(v.Added, "neighbour"), v.Removed, v.Edited, count(len(v.Ended), "session"), v.Established)
	for _, peer := range v.Ended {
		fmt.Fprintf(w, "# the session with %s ENDS\n", peer)
	}
	for _, lost := range v.Withdrawn {
		fmt.Fprintf(w, "# %s on %s: NOT ACCEPTED any more: %s\n", lost.Address, lost.Link, strings.Join(lost.Prefixes, " "))
	}
}

// whyAbsent is the reasons of stanzas that go, in words.
var whyAbsent = map[string]string{
	"gone": "is gone", "unwanted": "is to have none", "other_group": "is in another group than the configured one",
	"not_meant": "is on a port that interfaces does not mean",
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// answers says whether a daemon serves at the address.
func answers(ctx context.Context, listen string) bool {
	if listen == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/healthz", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}

func showCommand(config *string) *cobra.Command {
	show := &cobra.Command{Use: "show", Short: "Read the leaf: neighbors, stanzas and inventory"}
	show.AddCommand(showInventoryCommand(&operator{config: config}))
	for _, what := range []struct {
		name, short, head string
		with              func(switchagent.Row) bool
		cells             func(switchagent.Row) []string
	}{
		{"neighbors", "Link-local neighbours on the configured interfaces, and what becomes of them",
			"LINK\tADDRESS\tMAC\tSTATE\tROUTER\tSTANZA\tSESSION\tREFUSED",
			func(r switchagent.Row) bool { return r.State != "" },
			func(r switchagent.Row) []string {
				return []string{r.Link, r.Address, r.MAC, r.State, yesNo(r.Router), yesNo(r.Stanza), r.Session, r.Refused}
			}},
		{"stanzas", "Stanzas of switchagent on the leaf",
			"LINK\tADDRESS\tGROUP\tNEIGHBOUR\tSESSION\tDESCRIPTION",
			func(r switchagent.Row) bool { return r.Stanza },
			func(r switchagent.Row) []string {
				return []string{r.Link, r.Address, r.Group, r.State, r.Session, r.Description}
			}},
	} {
		o := &operator{config: config}
		c := o.command(what.name, what.short)
		show.AddCommand(o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
			op, _, err := o.operate(cmd)
			if err != nil {
				return err
			}
			all, err := op.Show(ctx)
			if err != nil {
				return err
			}
			rows := []switchagent.Row{}
			for _, r := range all {
				if what.with(r) {
					rows = append(rows, r)
				}
			}
			return o.print(cmd, rows, func(w io.Writer) {
				table := [][]string{strings.Split(what.head, "\t")}
				for _, r := range rows {
					table = append(table, what.cells(r))
				}
				writeTable(w, table)
			})
		}))
	}
	return show
}

func showInventoryCommand(o *operator) *cobra.Command {
	c := o.command("inventory", "Ports that the inventory lists, what each may announce, and who is there")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		op, _, err := o.operate(cmd)
		if err != nil {
			return err
		}
		listed, err := op.Inventory(ctx)
		if err != nil {
			return err
		}
		return o.print(cmd, listed, func(w io.Writer) {
			table := [][]string{strings.Split("LINK SERVER AS PREFIXES SHARED MAC KEY ADDRESS SESSION REFUSED", " ")}
			for _, l := range listed {
				port := []string{l.Link, l.Server, words(l.AS), words(l.Prefixes), words(l.Shared), words(l.MACs), l.Key}
				if len(l.Rows) == 0 {
					table = append(table, append(port, "", "", ""))
				}
				for _, r := range l.Rows {
					table = append(table, append(slices.Clone(port), r.Address, r.Session, r.Refused))
				}
			}
			writeTable(w, table)
		})
	})
}

// words is a list with blanks between, as in the inventory.
func words[T any](list []T) string { return strings.Trim(fmt.Sprint(list), "[]") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func writeTable(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			if row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
}
