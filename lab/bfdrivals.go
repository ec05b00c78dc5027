package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// bfdDaemons are those that the benches of BFD compare, in the order in which
// they have their turns.
var bfdDaemons = []Daemon{HostAgent, HostFRR, HostBIRD}

// start starts the server's daemon with the configuration one would give it.
func (s *bfdStage) start(ctx context.Context) error {
	switch s.Daemon {
	case HostFRR:
		_, err := frr.Start(ctx, frr.Config{
			NS: s.host, Dir: filepath.Join(s.dir, "frr"), Zebra: s.zebra(), BGP: s.bgpd(), BFD: true, Profiles: s.bfdd(),
		})
		return err
	case HostBIRD:
		return startBIRD(ctx, s.host, s.dir, s.bird())
	}
	config, socket := filepath.Join(s.dir, "hostagent.yaml"), s.hostagentSocket()
	text := hostAgentConfig(Node{AS: stageAS}) + s.Timers.hostAgent()
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(s.Binaries.HostAgent, "run", "--config", config, "--socket", socket)
	p, err := startProcess(s.host, "hostagent", s.dir, cmd)
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, func() error { return answers(socket) })
}

func (s *bfdStage) hostagentSocket() string { return filepath.Join(s.dir, "hostagent.sock") }

func startBIRD(ctx context.Context, ns *netns.NS, dir, text string) error {
	config, socket := filepath.Join(dir, "bird.conf"), filepath.Join(dir, "bird.ctl")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("bird", "-f", "-c", config, "-s", socket, "-P", filepath.Join(dir, "bird.pid"))
	p, err := startProcess(ns, "bird", dir, cmd)
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, func() error { return answers(socket) })
}

func (s *bfdStage) eachUplink(format string) string {
	var b strings.Builder
	for i := range s.Uplinks {
		b.WriteString(strings.NewReplacer(
			"{eth}", bfdUplink(i), "{host}", bfdHostEnd(i).String(), "{leaf}", bfdLeafEnd(i).String(),
			"{n}", fmt.Sprint(i+1), "{as}", fmt.Sprint(65001+i)).Replace(format))
	}
	return b.String()
}

// zebra leaves FRR's next-hop objects on, which is the default and faster.
func (s *bfdStage) zebra() string {
	return "hostname bms\n" + s.eachUplink("interface {eth}\n no ipv6 nd suppress-ra\n ipv6 nd ra-lifetime 0\n")
}

// bfdProfile is the name under which bgpd finds the timers: written behind the
// neighbour they could not be under 50 ms.
const bfdProfile = "uplink"

func (s *bfdStage) bfdd() string {
	ms := s.Timers.Milliseconds()
	return fmt.Sprintf("bfd\n profile %s\n  receive-interval %d\n  transmit-interval %d\n  detect-multiplier %d\n",
		bfdProfile, ms, ms, s.Timers.Multiplier)
}

func (s *bfdStage) bgpd() string {
	return `frr defaults datacenter
hostname bms
router bgp 64512
 bgp router-id ` + stageAddress + `
 bgp bestpath as-path multipath-relax
 no bgp default ipv4-unicast
` + s.eachUplink(` neighbor {eth} interface remote-as external
 neighbor {eth} timers connect 1
 neighbor {eth} bfd profile `+bfdProfile+`
`) + ` address-family ipv4 unicast
  network ` + stageAddress + `/32
` + s.eachUplink(`  neighbor {eth} activate
  neighbor {eth} filter-list own out
`) + ` exit-address-family
bgp as-path access-list own permit ^$
`
}

// bird gives BIRD the neighbours' addresses: it does not find them itself.
func (s *bfdStage) bird() string {
	return fmt.Sprintf(`router id %s;
protocol device { }
protocol direct { ipv4; interface "lo"; }
protocol bfd { interface "eth*" { interval %d ms; multiplier %d; }; }
protocol kernel {
  merge paths on;
  ipv4 { import none; export where source = RTS_BGP; };
}
`, stageAddress, s.Timers.Milliseconds(), s.Timers.Multiplier) + s.eachUplink(`protocol bgp leaf{n} {
  local {host} as 64512;
  neighbor {leaf}%{eth} as {as};
  hold time 9;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 1;
  bfd on;
  ipv4 { import all; export where source = RTS_DEVICE; extended next hop yes; };
  ipv6 { import all; export none; };
}
`)
}
