package junos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A callRefused is an operation that answered with errors, in the CLI's words.
type callRefused struct{ text string }

func (e *callRefused) Error() string { return e.text }

// call runs an operation of the session and returns its reply. Errors in it
// are a *callRefused; other errors end the session.
func (c *shell) call(ctx context.Context, operation string) (*element, error) {
	request, err := parseXML([]byte("<rpc>" + operation + "</rpc>"))
	if err != nil {
		return nil, err
	}
	c.s.device.count(func(st *Stats) { st.RPCs++ })
	if err := c.s.suffer(ctx, operationName(request)); err != nil {
		return nil, err
	}
	w := c.s.writer()
	if err := c.s.answer(ctx, request, nil, w); err != nil {
		return nil, err
	}
	if _, lost := c.s.struck(FaultResetAfter); lost {
		return nil, c.s.cut()
	}
	reply, err := parseXML(w.buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("own reply: %w", err)
	}
	var b strings.Builder
	reply.writeErrors(&b)
	if b.Len() > 0 {
		return reply, &callRefused{strings.TrimRight(b.String(), "\n")}
	}
	return reply, nil
}

// writeErrors writes the errors in a reply as the CLI does.
func (e *element) writeErrors(b *strings.Builder) {
	if e.name == "rpc-error" && e.value("error-severity") == "error" {
		message := e.value("error-message")
		if path := e.value("error-path"); path != "" {
			fmt.Fprintf(b, "%s\n  '%s'\n    %s\n", path, e.child("error-info").value("bad-element"), message)
			return
		}
		b.WriteString("error: " + message)
		if bad := e.child("error-info").value("bad-element"); bad != "" {
			b.WriteString(": " + bad)
		}
		b.WriteString("\n")
		return
	}
	for _, c := range e.children {
		c.writeErrors(b)
	}
}

func (e *element) warnings() (out []string) {
	if e.name == "rpc-error" && e.value("error-severity") == "warning" {
		out = append(out, e.value("error-message"))
	}
	for _, c := range e.children {
		out = append(out, c.warnings()...)
	}
	return out
}

func (c *shell) configurationCommand(ctx context.Context, words []string, line string, pipes []string) error {
	switch words[0] {
	case "exit", "quit":
		return c.leave(ctx)
	case "top", "up":
		return nil
	case "run":
		return c.operationalCommand(ctx, words[1:], strings.TrimSpace(strings.TrimPrefix(line, "run")), pipes)
	case "set", "delete", "activate", "deactivate":
		return c.edit(ctx, line)
	case "load":
		return c.load(ctx, words[1:])
	case "show":
		return c.showCandidate(words[1:], pipes)
	case "commit":
		return c.commit(ctx, words[1:])
	case "rollback":
		return c.rollback(ctx, words[1:])
	}
	c.unknown(line, "unknown command.")
	return nil
}

// edit applies one line in set format.
func (c *shell) edit(ctx context.Context, line string) error {
	reply, err := c.call(ctx, loadRequest("set", line))
	if err != nil {
		refused, ok := errors.AsType[*callRefused](err)
		if ok && strings.HasPrefix(refused.text, "error: syntax error") {
			c.unknown(line, "syntax error.")
			return nil
		}
		return c.failed(err)
	}
	for _, warning := range reply.warnings() {
		c.print("warning: " + warning + "\n")
	}
	return nil
}

// loadRequest is the load-configuration of a text; "set" is both an action and
// a format, the other actions take curly text.
func loadRequest(action, text string) string {
	var w writer
	w.text(text)
	format, name := "text", "configuration-text"
	if action == "set" {
		name = "configuration-set"
	}
	return fmt.Sprintf(`<load-configuration action="%s" format="%s"><%s>%s</%s></load-configuration>`,
		action, format, name, w.buf.String(), name)
}

// load takes a configuration from the terminal.
func (c *shell) load(ctx context.Context, words []string) error {
	if len(words) != 2 || words[1] != "terminal" || !strings.Contains(" set merge override replace update ", " "+words[0]+" ") {
		c.unknown("load "+strings.Join(words, " "), "syntax error.")
		return nil
	}
	c.print("[Type ^D at a new line to end input]\n")
	var text strings.Builder
	for {
		line, err := c.readLine(true)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
		text.WriteString(line + "\n")
		if text.Len() > maxMessage {
			return errTooLong
		}
	}
	_, err := c.call(ctx, loadRequest(words[0], text.String()))
	if refused, ok := errors.AsType[*callRefused](err); ok {
		c.print(refused.text + "\nload complete (" + strconv.Itoa(1+strings.Count(refused.text, "\nerror: ")) + " errors)\n")
		return nil
	}
	if err == nil {
		c.print("load complete\n")
	}
	return err
}

// showCandidate prints what is being edited, or how it differs.
func (c *shell) showCandidate(path, pipes []string) error {
	tree := c.s.view()
	if len(pipes) > 0 && strings.HasPrefix(pipes[0], "compare") {
		before := c.s.device.db.running()
		if c.s.open != nil && c.s.open.ephemeral {
			before = c.s.open.base
		}
		c.print(filterLines(compare(c.s.shown(before), c.s.shown(tree)), pipes[1:]))
		return nil
	}
	return c.printConfiguration(tree, path, pipes)
}

// printConfiguration prints a configuration, or the part at path, in the format
// that the pipes name.
func (c *shell) printConfiguration(tree *node, path, pipes []string) error {
	tree = c.s.shown(tree)
	part, err := tree.part(path)
	if err != nil {
		c.unknown(strings.Join(path, " "), "syntax error.")
		return nil
	}
	switch {
	case part == nil:
	case display(pipes) == "set":
		prefix := strings.Join(append([]string{"set"}, path...), " ")
		var b strings.Builder
		part.writeSetLines(&b, prefix)
		c.print(filterLines(b.String(), pipes))
	case display(pipes) == "xml":
		w := c.s.writer()
		w.open("rpc-reply", "xmlns:junos", junosNamespace+c.s.profile.Namespace+"/junos")
		c.s.writeConfiguration(w, tree, "commit")
		w.close()
		c.print(filterLines(w.buf.String(), pipes))
	default:
		c.print(filterLines(part.text(""), pipes))
	}
	return nil
}

// part finds the statement that the words of path lead to; nil if it is not
// there, an error if there is no such statement.
func (n *node) part(path []string) (*node, error) {
	if len(path) == 0 {
		return n, nil
	}
	patch := newTree(n.def)
	if _, err := patch.put(path, opDelete); err != nil {
		return nil, err
	}
	for len(patch.children) > 0 && n != nil {
		n = n.same(patch.children[0])
		patch = patch.children[0]
	}
	return n, nil
}

// commit commits what is being edited.
func (c *shell) commit(ctx context.Context, words []string) error {
	request, confirmed, quit := "", "", false
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "check":
			request += "<check/>"
		case "and-quit":
			quit = true
		case "synchronize":
			request += "<synchronize/>"
		case "comment":
			var w writer
			if i+1 < len(words) {
				w.text(strings.Trim(strings.Join(words[i+1:], " "), `"`))
			}
			request += "<log>" + w.buf.String() + "</log>"
			i = len(words)
		case "confirmed":
			confirmed = "10"
			if i+1 < len(words) {
				if _, err := strconv.Atoi(words[i+1]); err == nil {
					i++
					confirmed = words[i]
				}
			}
			request += "<confirmed/><confirm-timeout>" + confirmed + "</confirm-timeout>"
		default:
			c.unknown("commit "+strings.Join(words, " "), "syntax error.")
			return nil
		}
	}
	_, err := c.call(ctx, "<commit-configuration>"+request+"</commit-configuration>")
	if err != nil {
		return c.failed(err)
	}
	switch {
	case strings.Contains(request, "<check/>"):
		c.print("configuration check succeeds\n")
		return nil
	case confirmed != "":
		c.print("commit confirmed will be automatically rolled back in " + confirmed + " minutes unless confirmed\n")
	}
	c.print("commit complete\n")
	if quit {
		return c.leave(ctx)
	}
	return nil
}

// rollback loads an earlier configuration, 0 the running one.
func (c *shell) rollback(ctx context.Context, words []string) error {
	n := "0"
	if len(words) > 0 {
		n = words[0]
	}
	if _, err := strconv.Atoi(n); err != nil {
		c.unknown("rollback "+n, "syntax error.")
		return nil
	}
	if _, err := c.call(ctx, `<load-configuration rollback="`+n+`"/>`); err != nil {
		return c.failed(err)
	}
	c.print("load complete\n")
	return nil
}
