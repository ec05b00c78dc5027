// Command fibfloor writes routes to the kernel as hostagent does, and nothing
// else: the floor that `lab bench table` compares hostagent with. It is no part
// of what is installed.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"lastmile/hostagent/kernel"
)

// perBatch is how many routes come at once: as many as an UPDATE has.
const perBatch = 500

func main() {
	var routes int
	var first string
	var via []string
	cmd := &cobra.Command{
		Use: "fibfloor", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error { return write(routes, first, via) },
	}
	cmd.Flags().IntVar(&routes, "routes", 0, "how many host routes")
	cmd.Flags().StringVar(&first, "first", "", "the first address")
	cmd.Flags().StringArrayVar(&via, "via", nil, "a link-local next hop with its zone, for all routes")
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "fibfloor:", err)
		os.Exit(1)
	}
}

// write leaves the routes in the kernel.
func write(routes int, first string, via []string) error {
	addr, err := netip.ParseAddr(first)
	if err != nil {
		return err
	}
	var hops []netip.Addr
	var links []string
	for _, v := range via {
		hop, err := netip.ParseAddr(v)
		if err != nil {
			return err
		}
		hops, links = append(hops, hop), append(links, hop.Zone())
	}
	if _, err := new(kernel.Sysctls).Set(links); err != nil {
		return err
	}
	fib, err := kernel.OpenFIB(slog.New(slog.DiscardHandler), kernel.Options{})
	if err == nil {
		err = fib.Adopt()
	}
	if err != nil {
		return err
	}
	batch := make([]kernel.Route, 0, perBatch)
	var errs []error
	for range routes {
		batch = append(batch, kernel.Route{Prefix: netip.PrefixFrom(addr, addr.BitLen()), NextHops: hops})
		addr = addr.Next()
		if len(batch) == perBatch {
			errs = append(errs, fib.Apply(slices.Values(batch)))
			batch = batch[:0]
		}
	}
	errs = append(errs, fib.Apply(slices.Values(batch)))
	return errors.Join(errs...)
}
