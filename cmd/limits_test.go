package cmd_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file fits a few screens, a function one.
const (
	maxFile     = 400 // lines
	maxFunction = 50
)

// TestSizes holds for tests too: whoever is on call reads them to see what is meant to hold.
func TestSizes(t *testing.T) {
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, path, text, parser.ParseComments)
		if err != nil || ast.IsGenerated(file) {
			return err
		}
		if n := bytes.Count(text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines: at most %d are wanted", strings.TrimPrefix(path, "../"), n, maxFile)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines: at most %d are wanted", files.Position(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
