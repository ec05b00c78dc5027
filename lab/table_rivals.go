package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lastmile/lab/frr"
)

// HostBIRD is BIRD 2, which only the bench of whole tables runs.
const HostBIRD Daemon = "bird"

// startDaemon starts a daemon on the stage, with the configuration one would
// give it there, and returns when it answers.
func (s *stage) startDaemon(ctx context.Context, d Daemon) error {
	switch d {
	case HostAgent:
		return s.startHostagent(ctx)
	case HostFRR:
		_, err := frr.Start(ctx, frr.Config{NS: s.host, Dir: filepath.Join(s.dir, "frr"), Zebra: stageZebra, BGP: stageBGP})
		return err
	case HostBIRD:
		return startBIRD(ctx, s.host, s.dir, birdConfig())
	}
	return fmt.Errorf("daemon %q: want %s, %s or %s", d, HostAgent, HostFRR, HostBIRD)
}

func (s *stage) startHostagent(ctx context.Context) error {
	config, socket := filepath.Join(s.dir, "hostagent.yaml"), filepath.Join(s.dir, "hostagent.sock")
	if err := os.WriteFile(config, []byte(hostAgentConfig(Node{AS: stageAS})), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(s.cfg.Binaries.HostAgent, "run", "--config", config, "--socket", socket)
	p, err := startProcess(s.host, "hostagent", s.dir, cmd)
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, func() error { return answers(socket) })
}

func answers(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// stageZebra leaves FRR's next-hop objects on, which is the default and faster.
const stageZebra = `hostname bms
interface eth0
 no ipv6 nd suppress-ra
 ipv6 nd ra-lifetime 0
interface eth1
 no ipv6 nd suppress-ra
 ipv6 nd ra-lifetime 0
`

const stageBGP = `frr defaults datacenter
hostname bms
router bgp 64512
 bgp router-id 10.0.1.1
 bgp bestpath as-path multipath-relax
 no bgp default ipv4-unicast
 neighbor eth0 interface remote-as external
 neighbor eth1 interface remote-as external
 address-family ipv4 unicast
  network 10.0.1.1/32
  neighbor eth0 activate
  neighbor eth0 filter-list own out
  neighbor eth1 activate
  neighbor eth1 filter-list own out
 exit-address-family
bgp as-path access-list own permit ^$
`

// birdConfig gives BIRD the neighbours' addresses: it does not find them itself.
func birdConfig() string {
	var b strings.Builder
	b.WriteString(`router id 10.0.1.1;
protocol device { }
protocol direct { ipv4; interface "lo"; }
protocol kernel {
  merge paths on;
  ipv4 { import none; export where source = RTS_BGP; };
}
`)
	for i, link := range uplinkNames {
		fmt.Fprintf(&b, `protocol bgp leaf%d {
  local %s as %d;
  neighbor %s%%%s as %d;
  hold time 9;
  ipv4 { import all; export where source = RTS_DEVICE; extended next hop yes; };
  ipv6 { import all; export none; };
}
`, i+1, hostEnds[i], stageAS, leafEnds[i], link, 65001+i)
	}
	return b.String()
}
