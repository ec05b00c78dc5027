package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A counted is packets that a node's kernel is asked to count as they come in.
type counted struct {
	name  string // of the counter
	match string // in nft's words, such as `iifname "eth0" tcp dport 7007`
}

// A counter counts packets that come into a node until it is closed.
type counter struct {
	f    *Fabric
	node string
}

const counterTable = "inet lastmile_lab"

// count starts counting. Counters stand before routing and change nothing.
func (f *Fabric) count(ctx context.Context, node string, what ...counted) (*counter, error) {
	var rules strings.Builder
	fmt.Fprintf(&rules, "table %s {\n", counterTable)
	for _, c := range what {
		fmt.Fprintf(&rules, "counter %s { }\n", c.name)
	}
	rules.WriteString("chain in { type filter hook prerouting priority raw; policy accept;\n")
	for _, c := range what {
		fmt.Fprintf(&rules, "%s counter name %s\n", c.match, c.name)
	}
	rules.WriteString("}\n}\n")
	path := filepath.Join(f.nodeDir(node), "counters.nft")
	if err := os.WriteFile(path, []byte(rules.String()), 0o644); err != nil {
		return nil, err
	}
	if _, err := f.spaces[node].Run(ctx, "nft", "-f", path); err != nil {
		return nil, err
	}
	return &counter{f, node}, nil
}

// Packets returns the counters by name.
func (c *counter) Packets(ctx context.Context) (map[string]int, error) {
	args := append([]string{"-j", "list", "counters", "table"}, strings.Fields(counterTable)...)
	out, err := c.f.spaces[c.node].Run(ctx, "nft", args...)
	if err != nil {
		return nil, err
	}
	// libnftables-json(5)
	var reply struct {
		Nftables []struct {
			Counter *struct {
				Name    string
				Packets int
			}
		}
	}
	if err := json.Unmarshal(out, &reply); err != nil {
		return nil, fmt.Errorf("%s: reading counters: %w", c.node, err)
	}
	packets := map[string]int{}
	for _, n := range reply.Nftables {
		if n.Counter != nil {
			packets[n.Counter.Name] = n.Counter.Packets
		}
	}
	if len(packets) == 0 {
		return nil, errors.New(c.node + ": the counters are gone")
	}
	return packets, nil
}

// Close takes the counters away.
func (c *counter) Close() error {
	args := append([]string{"delete", "table"}, strings.Fields(counterTable)...)
	_, err := c.f.spaces[c.node].Run(context.Background(), "nft", args...)
	return err
}
