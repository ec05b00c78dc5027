package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogLinesAreExplained: docs/oncall.md says what each line of level WARN or ERROR means, of which there
// are no others.
func TestLogLinesAreExplained(t *testing.T) {
	_, text, _ := strings.Cut(documents(t)["../docs/oncall.md"], "\n## Log lines\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var explained []string
	for _, line := range row.FindAllString(text, -1) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range quoted.FindAllStringSubmatch(names, -1) {
			explained = append(explained, m[1])
		}
	}
	logged := []string{
		"BFD on LINK",       // complain("BFD on " + link)
		"neighbour refused", // of a level that depends on the reason
	}
	for _, dir := range []string{"../hostagent", "../switchagent", "../cmd/hostagent", "../cmd/switchagent", "../cmd/internal"} {
		logged = append(logged, logLines(t, dir)...)
	}
	slices.Sort(logged)
	sameWords(t, "docs/oncall.md", explained, "the code", slices.Compact(logged))
}

// logLines are the messages that code below dir logs at these levels.
func logLines(t *testing.T, dir string) (all []string) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if message, ok := logLine(n); ok {
				all = append(all, message)
			}
			return true
		})
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, %v", dir, len(all), err)
	}
	return all
}

// logLine returns the message of log.Warn("message", ...), log.Error and complain.
func logLine(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	called, ok := call.Fun.(*ast.SelectorExpr)
	message, literal := call.Args[0].(*ast.BasicLit)
	if !ok || !literal || message.Kind != token.STRING || !slices.Contains([]string{"Warn", "Error", "complain"}, called.Sel.Name) {
		return "", false
	}
	text, err := strconv.Unquote(message.Value)
	return text, err == nil
}
