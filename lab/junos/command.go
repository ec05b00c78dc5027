package junos

import (
	"context"
	"slices"
	"strings"
)

// command answers a command of the operational mode that comes as an RPC.
func (s *session) command(ctx context.Context, request *element, w *writer) error {
	if format := request.attr("format"); format != "xml" {
		return protocolError("command in format "+format+" is not there: xml", "format")
	}
	words := strings.Fields(request.text)
	if c := s.device.class(s.user); c != nil && !c.permitsCommand(strings.Join(words, " ")) {
		return &rpcError{severity: "error", message: "permission denied", bad: "command"}
	}
	if len(words) == 4 && slices.Equal(words[:3], []string{"show", "ephemeral-configuration", "instance"}) {
		tree, origin, err := s.instance(words[3])
		if err == nil {
			s.writeConfiguration(w, tree, origin)
		}
		return err
	}
	operation := ""
	if len(words) > 1 && words[0] == "show" {
		operation = requestOf(words[1:])
	}
	if operation == "" {
		return protocolError("syntax error, expecting <command>", "command")
	}
	parsed, err := parseXML([]byte("<rpc>" + operation + "</rpc>"))
	if err != nil {
		return err
	}
	return s.dispatch(ctx, parsed, nil, w)
}

// instance is what is committed in an ephemeral instance, or what a fault shows in its place.
func (s *session) instance(name string) (tree *node, origin string, err error) {
	if _, struck := s.struck(FaultCandidate); struck {
		return s.device.db.snapshot(), "changed", nil
	}
	tree, err = s.device.db.instance(name)
	return tree, "commit", err
}
