// Package cmd_test holds the architecture: who may import whom, and which
// package a foreign library is fenced into. A new arrow needs a new line here,
// and a reason.
package cmd_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// arrows lists, for each package, the packages of this module that it may
// import. lab/netns, lab/frr, lab/junos, lab/sshkey, bpf/etherfix/frames and bpf/etherfault are
// kits: any test may import them; and bpf/uplink, without which bpf/bfdwatch has
// nothing to say.
var arrows = map[string][]string{
	// The BFD worker is a process of its own: no agent runs there.
	"cmd/hostagent":       {"cmd/internal/daemon", "cmd/internal/typos", "hostagent", "hostagent/bfd/worker"},
	"cmd/switchagent":     {"cmd/internal/daemon", "cmd/internal/typos", "switchagent"},
	"cmd/lab":             {"cmd/internal/typos", "lab"},
	"cmd/fibfloor":        {"hostagent/kernel"},                      // a process for lab's bench of tables, which has no code of ours in it
	"cmd/bfdpeer":         {"hostagent/bfd", "hostagent/bfd/worker"}, // the same, for its benches of BFD
	"cmd/rtfloor":         {},                                        // the same, and nobody else's threads
	"cmd/pollfloor":       {"switchagent/junos"},                     // the same, for its bench of polls
	"cmd/internal/daemon": {},
	"cmd/internal/typos":  {}, // for the commands of all three

	// The programs on the uplinks are no leaf package of one agent: the lab measures them too.
	"hostagent": {
		"hostagent/bfd", "hostagent/bfd/worker", "hostagent/bgp", "hostagent/kernel", "hostagent/nd", "hostagent/rib",
		"bpf/bfdwatch", "bpf/etherfix", "bpf/uplink",
	},
	"hostagent/bfd": {},
	// Apart from hostagent/bfd, which is pure: processes, sockets and clocks.
	// bpf/bfdwatch is how it speaks to the kernel's watchdog, by two maps that it is handed.
	"hostagent/bfd/worker": {"hostagent/bfd", "bpf/bfdwatch"},
	"hostagent/bgp":        {},
	"hostagent/kernel":     {},
	"hostagent/nd":         {},
	"hostagent/rib":        {},

	"switchagent":       {"switchagent/bootstrap", "switchagent/cli", "switchagent/inventory", "switchagent/junos", "switchagent/login", "switchagent/syslog"},
	"switchagent/junos": {"switchagent/netconf"},
	// NETCONF and the command line log in in the same way.
	"switchagent/cli": {"switchagent/login"},
	// Whose replies are read with it: pure, and apart because it is held against encoding/xml.
	"switchagent/netconf":         {"switchagent/login", "switchagent/netconf/xmlscan"},
	"switchagent/netconf/xmlscan": {},
	"switchagent/login":           {},
	// Pure: a table that people write.
	"switchagent/inventory": {},
	// What a leaf is to be configured with: set lines in and out.
	"switchagent/bootstrap": {},
	"switchagent/syslog":    {},

	"lab/blast":           {"lab/netns"},
	"bpf/etherfix":        {},
	"bpf/etherfix/frames": {"bpf/etherfix"}, // a test kit, and what the bench sends
	"bpf/bfdwatch":        {},
	"bpf/etherfault":      {},
	"bpf/etherbench":      {"bpf/etherfix/frames"},
	"bpf/uplink":          {"bpf/bfdwatch", "bpf/etherfix"},

	// The lab gives leaf1 the fault that is repaired, and measures the repair.
	"lab": {
		"lab/blast", "lab/frr", "lab/junos", "lab/netns", "lab/sshkey",
		"bpf/etherbench", "bpf/etherfault", "bpf/etherfix/frames", "bpf/uplink",
	},
	"lab/frr":   {"lab/netns"},
	"lab/junos": {"lab/netns"},
	"lab/netns": {},
	// Who is logged in to, and who logs in: the lab's leaves and daemons, and most tests of switchagent.
	"lab/sshkey": {},
}

// fences lists, for each foreign package (and what is below it), who may
// import it.
var fences = map[string][]string{
	"github.com/osrg/gobgp":          {"hostagent/bgp"},
	"github.com/vishvananda/netlink": {"bpf/etherfault", "bpf/uplink", "hostagent/kernel", "lab", "lab/junos", "lab/netns"},
	"github.com/vishvananda/netns":   {"lab/netns"},
	"github.com/mdlayher/ndp":        {"hostagent/nd", "lab/junos"},
	"github.com/Juniper/go-netconf":  {"switchagent/netconf"},
	"github.com/scrapli/scrapligo":   {"switchagent/cli"},
	"golang.org/x/crypto/ssh":        {"switchagent/cli", "switchagent/login", "switchagent/netconf", "lab", "lab/junos", "lab/sshkey"},
	"github.com/goccy/go-yaml":       {"cmd/internal/daemon", "lab", "switchagent/inventory"},
	"github.com/spf13/cobra":         {"cmd/hostagent", "cmd/switchagent", "cmd/lab", "cmd/fibfloor", "cmd/internal/typos"},
	"github.com/mdlayher/sdnotify":   {"cmd/internal/daemon"},
	"github.com/cilium/ebpf":         {"bpf/etherbench", "bpf/etherfault", "bpf/uplink"},
	// In the daemons only for the BFD worker: hostagent runs itself, and nothing else.
	"os/exec": {"cmd/rtfloor", "hostagent/bfd/worker", "lab", "lab/frr", "lab/netns"},
	"log":     {},
	"testing": {"lab/frr", "lab/netns", "lab/sshkey"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"cmd/internal/daemon"},
}

const module = "lastmile/"

type pkg struct {
	ImportPath, Doc string
	Imports         []string
	TestImports     []string
	XTestImports    []string
}

func packages(t *testing.T) []pkg {
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := arrows[name]
		if !known && len(p.Imports) > 0 {
			t.Errorf("%s is not in the table", name)
		}
		for _, i := range p.Imports {
			if to, ours := strings.CutPrefix(i, module); ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", name, to)
			}
		}
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			to, ours := strings.CutPrefix(i, module)
			kit := slices.Contains([]string{"lab/netns", "lab/frr", "lab/junos", "lab/sshkey", "bpf/etherfix/frames", "bpf/etherfault", "bpf/uplink"}, to)
			if ours && !kit && to != name && !slices.Contains(allowed, to) {
				t.Errorf("the tests of %s import %s", name, to)
			}
		}
	}
}

func TestFences(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			for fenced, allowed := range fences {
				if i != "log/slog" && (i == fenced || strings.HasPrefix(i, fenced+"/")) && !slices.Contains(allowed, name) {
					t.Errorf("%s imports %s", name, i)
				}
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.Imports) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestTableHasNoDeadLines(t *testing.T) {
	there := map[string]bool{}
	for _, p := range packages(t) {
		there[strings.TrimPrefix(p.ImportPath, module)] = true
	}
	for name, to := range arrows {
		for _, n := range append(to, name) {
			if !there[n] {
				t.Errorf("%s stands in the table, and is no package", path.Join(module, n))
			}
		}
	}
}
