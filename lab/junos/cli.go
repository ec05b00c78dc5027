package junos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A shell is the command line of one login.
type shell struct {
	s    *session
	in   *bufio.Reader
	mode string // "", or how configuration mode was entered: "shared", "private", "exclusive", "ephemeral"
	done bool
}

// newShell makes the command line of a session. Its operations answer in the
// plain form whatever the release, as what it prints is not XML.
func newShell(s *session, rw io.ReadWriter) *shell {
	s.compliant = false
	s.profile.Commit, s.profile.FlatErrors, s.profile.Licence = CommitResults, false, false
	s.profile.LoadSuccess, s.profile.Opening, s.profile.RefusesNoName = false, OpeningSilent, false
	return &shell{s: s, in: bufio.NewReader(rw)}
}

// The keys that mean something.
const (
	keyInterrupt = 3
	keyEnd       = 4
	keyBackspace = 8
	keyDelete    = 127
)

var errInterrupted = errors.New("interrupted")

// maxLine bounds what is typed on one line.
const maxLine = 64 << 10

// run is the command line from the first prompt to exit.
func (c *shell) run(ctx context.Context) error {
	c.print(fmt.Sprintf("\n--- JUNOS %s Kernel 64-bit\n", c.s.profile.Version))
	for !c.done {
		c.print(c.prompt())
		line, err := c.readLine(true)
		if errors.Is(err, errInterrupted) {
			continue
		}
		if err != nil {
			return err
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := c.command(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// once runs one command, as `ssh leaf COMMAND` does.
func (c *shell) once(ctx context.Context, line string) error {
	return c.command(ctx, strings.TrimSpace(line))
}

func (c *shell) prompt() string {
	who := c.s.user.Name + "@" + c.s.device.hostName()
	if c.mode != "" {
		return "\n[edit]\n" + who + "# "
	}
	return "\n" + who + "> "
}

// print writes text with the line ends of a terminal. What cannot be written
// is noticed when the next line is read.
func (c *shell) print(text string) {
	_, _ = io.WriteString(c.s.tap, strings.ReplaceAll(text, "\n", "\r\n"))
}

func (c *shell) complain(format string, args ...any) {
	c.print("error: " + fmt.Sprintf(format, args...) + "\n")
}

// readLine reads what is typed up to a return. io.EOF is the key that ends
// input, on a line of its own.
func (c *shell) readLine(echo bool) (string, error) {
	c.s.tap.clear() // faults were for the last command's answer
	var line []byte
	for len(line) < maxLine {
		b, err := c.in.ReadByte()
		if err != nil {
			return "", err
		}
		switch {
		case b == '\r' || b == '\n':
			c.print("\n")
			return string(line), nil
		case b == keyInterrupt:
			c.print("^C\n")
			return "", errInterrupted
		case b == keyEnd && len(line) == 0:
			return "", io.EOF
		case b == keyBackspace || b == keyDelete:
			if len(line) > 0 {
				line = line[:len(line)-1]
				c.print("\b \b")
			}
		case b >= ' ' || b == '\t':
			line = append(line, b)
			if echo {
				_, _ = c.s.tap.Write([]byte{b})
			}
		}
	}
	return "", fmt.Errorf("line longer than %d bytes", maxLine)
}

// ask puts a question that a bare return answers with yes.
func (c *shell) ask(question string) (bool, error) {
	c.print(question + " [yes,no] (yes) ")
	answer, err := c.readLine(true)
	return err == nil && (answer == "" || strings.HasPrefix(answer, "y")), err
}

// command runs one line. An error ends the login.
func (c *shell) command(ctx context.Context, line string) error {
	line, pipes := cutPipes(line)
	words := strings.Fields(line)
	if c.mode != "" {
		return c.configurationCommand(ctx, words, line, pipes)
	}
	return c.operationalCommand(ctx, words, line, pipes)
}

// cutPipes splits a line at the bars that are not in quotes.
func cutPipes(line string) (string, []string) {
	var parts []string
	quoted, start := false, 0
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '|' && !quoted:
			parts = append(parts, strings.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	parts = append(parts, strings.TrimSpace(line[start:]))
	return parts[0], parts[1:]
}

func (c *shell) operationalCommand(ctx context.Context, words []string, line string, pipes []string) error {
	class := c.s.device.class(c.s.user)
	if class != nil && !class.permitsCommand(line) && commandKnown(words) {
		c.complain("permission denied: %s", words[0])
		return nil
	}
	switch words[0] {
	case "exit", "quit":
		c.done = true
		return nil
	case "set":
		return c.setCLI(words)
	case "configure", "edit":
		return c.configure(ctx, words[1:])
	case "show":
		return c.show(ctx, words, pipes)
	}
	c.unknown(line, "unknown command.")
	return nil
}

func commandKnown(words []string) bool {
	switch words[0] {
	case "exit", "quit", "set", "configure", "edit", "show":
		return true
	}
	return false
}

// unknown points at a line as Junos does: a caret, then what is wrong.
func (c *shell) unknown(line, message string) {
	margin := len(c.prompt()) - 1 + max(strings.LastIndexByte(line, ' ')+1, 0)
	c.print(strings.Repeat(" ", min(margin, 120)) + "^\n" + message + "\n")
}

// setCLI takes the settings of the terminal, which the simulated one has not.
func (c *shell) setCLI(words []string) error {
	line := strings.Join(words, " ")
	if len(words) < 4 || words[1] != "cli" {
		c.unknown(line, "syntax error, expecting <command>.")
		return nil
	}
	switch words[2] {
	case "screen-width":
		c.print("Screen width set to " + words[3] + "\n")
	case "screen-length":
		c.print("Screen length set to " + words[3] + "\n")
	case "complete-on-space":
		c.print("Disabling complete-on-space\n")
	case "timestamp", "idle-timeout", "prompt":
	default:
		c.unknown(line, "syntax error.")
	}
	return nil
}

// opening is what the words after configure open; no mode if they mean nothing.
func opening(words []string) (mode, what string) {
	switch {
	case len(words) == 0:
		return "shared", ""
	case words[0] == "ephemeral" && len(words) == 2:
		var name writer
		name.text(words[1])
		return "ephemeral", "<ephemeral-instance>" + name.buf.String() + "</ephemeral-instance>"
	case len(words) > 1:
		return "", ""
	case words[0] == "private", words[0] == "exclusive", words[0] == "ephemeral":
		return words[0], "<" + words[0] + "/>"
	}
	return "", ""
}

// configure enters configuration mode.
func (c *shell) configure(ctx context.Context, words []string) error {
	mode, what := opening(words)
	if mode == "" {
		c.unknown("configure "+strings.Join(words, " "), "syntax error.")
		return nil
	}
	if _, err := c.call(ctx, "<open-configuration>"+what+"</open-configuration>"); err != nil {
		return c.failed(err)
	}
	c.mode = mode
	if mode != "shared" {
		c.print("warning: uncommitted changes will be discarded on exit\n")
	}
	c.print("Entering configuration mode\n")
	if holder := c.s.device.db.locked(); mode == "shared" && holder != nil {
		c.print("Users currently editing the configuration:\n  " + holder.user + "\n")
	}
	if mode == "shared" && c.dirty() {
		c.print("The configuration has been changed but not committed\n")
	}
	return nil
}

func (c *shell) dirty() bool {
	before := c.s.device.db.running()
	if c.s.open != nil {
		before = c.s.open.base
	}
	return !c.s.view().equal(before)
}

// leave ends configuration mode.
func (c *shell) leave(ctx context.Context) error {
	if c.dirty() {
		c.print("The configuration has been changed but not committed\n")
		question := "Exit with uncommitted changes?"
		if c.mode != "shared" {
			question = "Discard uncommitted changes?"
		}
		yes, err := c.ask(question)
		if err != nil && !errors.Is(err, errInterrupted) {
			return err
		}
		if !yes {
			return nil
		}
	}
	if c.mode != "shared" {
		if _, err := c.call(ctx, "<close-configuration/>"); err != nil {
			return c.failed(err)
		}
	}
	c.mode = ""
	c.print("Exiting configuration mode\n")
	return nil
}

// failed prints what an operation was refused for; other errors end the login.
func (c *shell) failed(err error) error {
	if refused, ok := errors.AsType[*callRefused](err); ok {
		c.print(refused.Error() + "\n")
		return nil
	}
	return err
}
