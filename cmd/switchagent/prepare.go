package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"lastmile/cmd/namedfile"
	"lastmile/switchagent"
)

func doctorCommand(o *operator) *cobra.Command {
	c := o.command("doctor", "Check all that switchagent needs of its leaf, and say how to mend what is wrong")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		cfg, err := o.load()
		if err != nil {
			return err
		}
		found := cfg.Doctor(ctx)
		if err := o.print(cmd, found, func(w io.Writer) { writeFindings(w, found) }); err != nil {
			return err
		}
		faults := 0
		for _, f := range found {
			if f.Status == switchagent.StatusFault {
				faults++
			}
		}
		if faults > 0 {
			return fmt.Errorf("%s", count(faults, "fault"))
		}
		return nil
	})
}

func writeFindings(w io.Writer, found []switchagent.Finding) {
	for _, f := range found {
		fmt.Fprintf(w, "%-8s %-22s %s\n", f.Status, f.Check, f.Detail)
		for _, command := range f.Mend {
			fmt.Fprintf(w, "%31s %s\n", ">", command)
		}
	}
}

func bootstrapCommand(o *operator) *cobra.Command {
	var b switchagent.BootstrapOptions
	var apply bool
	var publicKey string
	c := o.command("bootstrap", "Print what the leaf's configuration lacks for switchagent, or commit it; status 2 if something is missing")
	f := c.Flags()
	f.BoolVar(&apply, "apply", false, "commit it")
	f.StringVar(&b.Login, "login", "", "who configures the leaf (default: user of the configuration)")
	f.StringVar(&b.Credentials.Key, "login-key", "", "their private key")
	f.StringVar(&b.Credentials.Passphrase, "login-passphrase", "", "file with its passphrase")
	f.StringVar(&b.Credentials.Agent, "login-agent", "", "their agent's socket, or SSH_AUTH_SOCK")
	f.StringVar(&b.CLI, "cli", "", "host:port of the command line, if NETCONF is not enabled (default: the target's, port 22)")
	f.StringSliceVar(&b.Ports, "port", nil, "logical interfaces of servers (default: all that the configuration means)")
	f.Uint32Var(&b.PeerAS, "peer-as", 0, "AS of the servers; the inventory has one for each, so it is needed without an inventory or for ports that are not listed")
	f.IntVar(&b.Prefixes, "prefix-limit", 16, "prefixes of each family that a server may announce")
	f.BoolVar(&b.EndSessions, "end-sessions", false, "change the group although sessions in it are up, which ends them")
	f.StringVar(&publicKey, "public-key", "", "file with the public key of switchagent (default: that of its key)")
	return o.running(c, func(ctx context.Context, cmd *cobra.Command) error {
		cfg, err := o.load()
		if err == nil && publicKey != "" {
			var text []byte
			if text, err = namedfile.ReadPiped(publicKey); err != nil {
				err = fmt.Errorf("reading public key: %w", err)
			}
			b.PublicKey = strings.TrimSpace(string(text))
		}
		if err != nil {
			return err
		}
		if b.Prefixes < 1 {
			return errors.New("prefix-limit: at least 1 is wanted")
		}
		r, err := cfg.Bootstrap(ctx, b, apply)
		if err != nil {
			return err
		}
		if err := o.print(cmd, r, func(w io.Writer) { writeBootstrap(w, r) }); err != nil {
			return err
		}
		if !r.Applied && len(r.Missing) > 0 {
			return errTodo
		}
		return nil
	})
}

func writeBootstrap(w io.Writer, r switchagent.BootstrapResult) {
	for _, line := range r.Missing {
		fmt.Fprintln(w, line)
	}
	for _, other := range r.Other {
		fmt.Fprintf(w, "# left alone: %s\n#   instead of: %s\n", other.Is, other.Wanted)
	}
	for _, port := range r.Skipped {
		fmt.Fprintf(w, "# left alone: %s has an address of its own\n", port)
	}
	for _, peer := range r.Ended {
		fmt.Fprintf(w, "# the session with %s ENDS\n", peer)
	}
	switch {
	case r.Applied:
		fmt.Fprintf(w, "# committed %s (%s)\n", count(len(r.Missing), "statement"), r.Via)
	case len(r.Missing) == 0:
		fmt.Fprintln(w, "# nothing is missing")
	}
}
