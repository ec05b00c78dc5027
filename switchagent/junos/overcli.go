package junos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"lastmile/switchagent/netconf"
)

// Shell is a command line of the switch.
type Shell interface {
	// Run returns what a command prints. An error without Err is the switch's refusal.
	Run(ctx context.Context, command string) (string, error)
	lifetime
}

// OverCLI is a client that reads through a command line, with | display xml. What changes anything
// is an error: there is no lock that lasts from one command to the next in a way that can be
// checked, and what a commit prints is for people.
func OverCLI(s Shell, trace func(Trace)) *Client {
	return &Client{session: shellCaller{s}, trace: trace}
}

// errReadOnly is the answer of a client over a command line to what would change something.
var errReadOnly = errors.New("the command line is for reading only")

type shellCaller struct{ Shell }

// ID is none: the command line does not name its process.
func (shellCaller) ID() int { return 0 }

// Call runs the command that shows what the operation asks for.
func (s shellCaller) Call(ctx context.Context, c netconf.Call) (netconf.Reply, error) {
	command, err := commandFor(c)
	if err != nil {
		return netconf.Reply{}, err
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	shown, err := s.Run(ctx, command)
	if err != nil {
		return netconf.Reply{}, fmt.Errorf("command line: %w", err)
	}
	if _, set := c.Elements["configuration-set"]; set {
		shown = "<rpc-reply><configuration-set>" + escape(shown) + "</configuration-set></rpc-reply>"
	}
	// What comes before is the switch's chatter, such as a warning about a licence.
	if i := strings.Index(shown, "<rpc-reply"); i > 0 {
		shown = shown[i:]
	} else if i < 0 {
		return netconf.Reply{}, fmt.Errorf("%q: %q is not XML", command, firstWords(shown))
	}
	reply, err := c.ReadReply(strings.NewReader(shown), "")
	if err != nil {
		return reply, fmt.Errorf("%q: %w", command, err)
	}
	return reply, nil
}

func firstWords(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 200)]
}

// showCommands is the command for each operation that is only read.
var showCommands = map[string]string{
	"get-ipv6-nd-information":       "show ipv6 neighbors",
	"get-ipv6-ra-information":       "show ipv6 router-advertisement",
	"get-bgp-summary-information":   "show bgp summary",
	"get-bgp-neighbor-information":  "show bgp neighbor",
	"get-interface-information":     "show interfaces terse",
	"get-software-information":      "show version",
	"get-system-information":        "show system information",
	"get-system-uptime-information": "show system uptime",
	"get-commit-information":        "show system commit",
	"get-database-usage":            "show system configuration database usage",
}

var shownInstance = regexp.MustCompile(`>(` + showInstance + `[A-Za-z0-9_-]+)<`)

// commandFor is the command for an operation. Statements that are inherited from groups are not
// shown: a pipe that shows them is not on every release's path to XML.
func commandFor(c netconf.Call) (string, error) {
	command, known := showCommands[c.Name()]
	switch {
	case known:
	case c.Name() == "get-route-information":
		command = receivedCommand(c.Body)
	case shownInstance.MatchString(c.Body):
		command = shownInstance.FindStringSubmatch(c.Body)[1]
	case c.Name() != "get-configuration" || strings.Contains(c.Body, "compare="):
		return "", fmt.Errorf("%s: %w", c.Name(), errReadOnly)
	case strings.Contains(c.Body, `format="set"`):
		return "show configuration | display set | no-more", nil
	default:
		command = "show configuration"
	}
	return command + " | display xml | no-more", nil
}
