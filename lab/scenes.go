package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The addresses of the talk that the scenes are about.
var (
	bms2Address    = netip.MustParseAddr("10.0.2.2")
	anycastAddress = netip.MustParseAddr("192.168.0.250")
	legacyAddress  = netip.MustParseAddr("192.168.101.20")
	legacyNet      = netip.MustParsePrefix("192.168.101.0/24")
)

var errTooLong = errors.New("it took too long")

// fairShare is the least part of the whole that each of two ways must carry
// to count as used: among the calls of a scene, chance alone does not leave
// one with less.
const fairShare = 0.2

func shared(counts map[string]int, ways []string) bool {
	total := 0
	for _, n := range counts {
		total += n
	}
	return !slices.ContainsFunc(ways, func(w string) bool {
		return float64(counts[w]) < fairShare*float64(total) || counts[w] == 0
	})
}

type trafficFigures struct {
	Sessions int            `json:"sessions"`
	Packets  map[string]int `json:"packetsByUplink"`
}

func traffic() Scene {
	return Scene{
		Name:     "traffic and ECMP",
		Expected: "TCP from bms1 to bms2 arrives over both uplinks",
		play:     playTraffic,
	}
}

func playTraffic(ctx context.Context, f *Fabric) (out outcome, err error) {
	const sessions = 200
	bms2, _ := f.Topology.Node("bms2")
	uplinks := f.uplinks(bms2)
	var what []counted
	for _, u := range uplinks {
		what = append(what, counted{u, fmt.Sprintf("iifname %q tcp dport %d", u, trafficPort)})
	}
	packets, err := f.counting(ctx, "bms2", what, func() error {
		_, err := f.converse(ctx, conversation{"bms1", []string{"bms2"}, bms2Address, sessions})
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	var parts []string
	for _, u := range uplinks {
		parts = append(parts, fmt.Sprintf("%d packets on %s", packets[u], u))
	}
	return outcome{
		holds:   shared(packets, uplinks),
		seen:    fmt.Sprintf("%d sessions: %s", sessions, strings.Join(parts, ", ")),
		figures: trafficFigures{sessions, packets},
	}, nil
}

// counting counts packets into a node while do runs.
func (f *Fabric) counting(
	ctx context.Context, node string, what []counted, do func() error,
) (packets map[string]int, err error) {
	c, err := f.count(ctx, node, what...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := do(); err != nil {
		return nil, err
	}
	return c.Packets(ctx)
}

type legacyFigures struct {
	Sessions int `json:"sessions"`
	Spine    int `json:"packetsOverSpine"`
	Direct   int `json:"packetsFromLegacyIntoBms2"`
}

func legacy() Scene {
	return Scene{
		Name:     "legacy",
		Expected: "legacy reaches bms2, none of it over the spine",
		play:     playLegacy,
	}
}

func playLegacy(ctx context.Context, f *Fabric) (outcome, error) {
	const sessions = 50
	var arrived map[string]int
	either := fmt.Sprintf("ip saddr %s", legacyAddress)
	spine, err := f.counting(ctx, "spine1", []counted{
		{"out", either},
		{"back", fmt.Sprintf("ip daddr %s", legacyAddress)},
	}, func() (err error) {
		arrived, err = f.counting(ctx, "bms2", []counted{{"in", either}}, func() error {
			_, err := f.converse(ctx, conversation{"legacy", []string{"bms2"}, bms2Address, sessions})
			return err
		})
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	long := spine["out"] + spine["back"]
	return outcome{
		holds:   long == 0 && arrived["in"] > 0,
		seen:    fmt.Sprintf("%d sessions: %d packets arrived, %d crossed the spine", sessions, arrived["in"], long),
		figures: legacyFigures{sessions, long, arrived["in"]},
	}, nil
}

type anycastFigures struct {
	Answered map[string]int `json:"answered"`
}

func anycast() Scene {
	return Scene{
		Name:     "anycast",
		Expected: "both servers answer legacy at " + anycastAddress.String(),
		play:     playAnycast,
	}
}

func playAnycast(ctx context.Context, f *Fabric) (outcome, error) {
	const sessions = 100
	servers := []string{"bms1", "bms2"}
	answered, err := f.converse(ctx, conversation{"legacy", servers, anycastAddress, sessions})
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		holds:   shared(answered, servers),
		seen:    fmt.Sprintf("bms1 answered %d of %d, bms2 %d", answered["bms1"], sessions, answered["bms2"]),
		figures: anycastFigures{answered},
	}, nil
}
