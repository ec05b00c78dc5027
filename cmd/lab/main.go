// Command lab builds a lastmile fabric in network namespaces, plays in it and
// measures it. See docs/lab.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"lastmile/cmd/internal/typos"
	"lastmile/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := root().ExecuteContext(ctx)
	if err == nil {
		return
	}
	status := 1
	if exit, ok := errors.AsType[lab.ExitStatus](err); ok {
		status = int(exit)
	} else {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	os.Exit(status)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "lab",
		Short:         "A whole lastmile fabric on one machine, in network namespaces",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(
		upCommand(), downCommand(), statusCommand(), shellCommand(), stopCommand(), startCommand(), faultCommand(),
		demoCommand(), benchCommand(), janitorCommand(), junosCommand(),
	)
	typos.Refuse(cmd)
	return cmd
}
