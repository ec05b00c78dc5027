package junos

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// display is the format that the pipes ask for, "" the usual one.
func display(pipes []string) string {
	for _, p := range pipes {
		if words := strings.Fields(p); len(words) > 1 && words[0] == "display" {
			return words[1]
		}
	}
	return ""
}

// filterLines does what the pipes do to text: match, except, count, and last N
// lines as all of them.
func filterLines(text string, pipes []string) string {
	for _, p := range pipes {
		verb, argument, _ := strings.Cut(p, " ")
		argument = strings.Trim(argument, `" `)
		switch verb {
		case "match", "except":
			var kept strings.Builder
			for line := range strings.Lines(text) {
				if strings.Contains(line, argument) == (verb == "match") {
					kept.WriteString(line)
				}
			}
			text = kept.String()
		case "count":
			text = fmt.Sprintf("Count: %d lines\n", strings.Count(text, "\n"))
		}
	}
	return text
}

// badPipe is the first pipe that there is not, "" if all are known.
func badPipe(pipes []string) string {
	known := []string{"display xml", "display set", "no-more", "match", "except", "count", "compare"}
	for _, p := range pipes {
		if !slices.ContainsFunc(known, func(k string) bool { return p == k || strings.HasPrefix(p, k+" ") }) {
			return p
		}
	}
	return ""
}

// show answers a show command of the operational mode.
func (c *shell) show(ctx context.Context, words, pipes []string) error {
	line := strings.Join(words, " ")
	if bad := badPipe(pipes); bad != "" {
		c.unknown(line+" | "+bad, "syntax error.")
		return nil
	}
	if len(words) > 1 && words[1] == "configuration" {
		return c.printConfiguration(c.s.device.db.running(), words[2:], pipes)
	}
	if len(words) > 1 && words[1] == "ephemeral-configuration" {
		return c.showEphemeral(words[2:], pipes)
	}
	request := requestOf(words[1:])
	if request == "" {
		c.unknown(line, "syntax error, expecting <command>.")
		return nil
	}
	if display(pipes) == "xml" {
		return c.showXML(ctx, request)
	}
	reply, err := c.call(ctx, request)
	if err != nil {
		return c.failed(err)
	}
	var b strings.Builder
	reply.writeTable(&b)
	c.print(filterLines(b.String(), pipes))
	return nil
}

// showEphemeral takes both spellings of releases: "instance NAME" and "NAME".
func (c *shell) showEphemeral(words, pipes []string) error {
	if len(words) > 0 && words[0] == "instance" {
		words = words[1:]
	}
	if len(words) == 0 || words[0] == "default" {
		words = append([]string{""}, words[min(len(words), 1):]...)
	}
	if words[0] == "merge" {
		return c.printConfiguration(c.s.device.db.merged(), words[1:], pipes)
	}
	tree, err := c.s.device.db.instance(words[0])
	if err != nil {
		c.complain("%v", err)
		return nil
	}
	return c.printConfiguration(tree, words[1:], pipes)
}

// requestOf is the operation that a show command stands for, without "show".
func requestOf(words []string) string {
	last := ""
	if len(words) > 0 {
		last = xmlText(words[len(words)-1])
	}
	switch line := strings.Join(words, " "); {
	case line == "ipv6 neighbors":
		return "<get-ipv6-nd-information/>"
	case line == "ipv6 router-advertisement":
		return "<get-ipv6-ra-information/>"
	case line == "version":
		return "<get-software-information/>"
	case line == "system uptime":
		return "<get-system-uptime-information/>"
	case line == "system information":
		return "<get-system-information/>"
	case line == "system commit":
		return "<get-commit-information/>"
	case line == "system configuration database usage":
		return "<get-database-usage/>"
	case line == "system configuration database status":
		return "<get-configuration-database-status/>"
	case line == "bgp summary":
		return "<get-bgp-summary-information/>"
	case line == "bgp neighbor":
		return "<get-bgp-neighbor-information/>"
	case strings.HasPrefix(line, "bgp neighbor ") && len(words) == 3:
		return "<get-bgp-neighbor-information><neighbor-address>" + last + "</neighbor-address></get-bgp-neighbor-information>"
	case line == "bfd session":
		return "<get-bfd-session-information/>"
	case line == "interfaces":
		return "<get-interface-information/>"
	case line == "interfaces terse":
		return "<get-interface-information><terse/></get-interface-information>"
	case strings.HasPrefix(line, "interfaces terse ") && len(words) == 3:
		return "<get-interface-information><terse/><interface-name>" + last + "</interface-name></get-interface-information>"
	case line == "route":
		return "<get-route-information/>"
	case strings.HasPrefix(line, "route receive-protocol ") && len(words) > 3:
		return receivedRequest(words[2], words[3], words[4:])
	case strings.HasPrefix(line, "route ") && len(words) == 2:
		return "<get-route-information><destination>" + last + "</destination></get-route-information>"
	}
	return ""
}

func xmlText(s string) string {
	var w writer
	w.text(s)
	return w.buf.String()
}

// showXML prints the reply to an operation as `| display xml` does: without
// NETCONF's namespace, and with the CLI's banner at the end.
func (c *shell) showXML(ctx context.Context, request string) error {
	parsed, err := parseXML([]byte("<rpc>" + request + "</rpc>"))
	if err != nil {
		return err
	}
	s := c.s
	s.device.count(func(st *Stats) { st.RPCs++ })
	if err := s.suffer(ctx, operationName(parsed)); err != nil {
		return err
	}
	w := s.writer()
	out := func(b []byte) error {
		_, err := s.tap.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
		return err
	}
	broken, damaged := s.struck(FaultMalformed)
	if !damaged {
		w.out = out
	}
	w.open("rpc-reply", "xmlns:junos", junosNamespace+s.profile.Namespace+"/junos")
	start := w.buf.Len()
	if err := s.dispatch(ctx, parsed, nil, w); err != nil {
		if w.spilled {
			return err
		}
		w.buf.Truncate(start)
		w.stack = w.stack[:1]
		w.failure(err)
	}
	w.table = TableHabits{}
	w.open("cli")
	w.leaf("banner", "")
	w.close()
	w.close()
	message := w.buf.Bytes()
	if damaged {
		message = withoutEndTag(message, broken.Text)
	}
	return out(message)
}

// writeTable prints a reply for people. Only the neighbour table and the list
// of commits have Junos' columns; everything else is names and values.
func (e *element) writeTable(b *strings.Builder) {
	for _, c := range e.children {
		switch c.name {
		case "ipv6-nd-information":
			c.writeNeighbors(b)
		case "commit-information":
			c.writeCommits(b)
		default:
			c.writeValues(b, "")
		}
	}
}

func (e *element) writeCommits(b *strings.Builder) {
	for _, c := range e.all("commit-history") {
		fmt.Fprintf(b, "%-4s%s by %s via %s %s", c.value("sequence-number"), c.value("date-time"), c.value("user"), c.value("client"), c.value("comment"))
		for _, more := range []string{c.value("log"), c.value("commit-confirmed")} {
			if more != "" {
				b.WriteString("\n    " + more)
			}
		}
		b.WriteString("\n")
	}
}

func (e *element) writeNeighbors(b *strings.Builder) {
	const row = "%-40s%-20s%-12s%-6s%-4s%-7s%s\n"
	fmt.Fprintf(b, row, "IPv6 Address", "Linklayer Address", "State", "Exp", "Rtr", "Secure", "Interface")
	for _, n := range e.all("ipv6-nd-entry") {
		v := func(name string) string { return n.value("ipv6-nd-" + name) }
		fmt.Fprintf(b, row, v("neighbor-address"), v("neighbor-l2-address"), v("state"), v("expire"),
			v("isrouter"), v("issecure"), v("interface-name"))
	}
	if total := e.value("ipv6-nd-total"); total != "" {
		fmt.Fprintf(b, "Total entries: %s\n", total)
	}
}

func (e *element) writeValues(b *strings.Builder, margin string) {
	if len(e.children) == 0 {
		b.WriteString(margin + e.name + ": " + e.text + "\n")
		return
	}
	b.WriteString(margin + e.name + ":\n")
	for _, c := range e.children {
		c.writeValues(b, margin+"  ")
	}
}
