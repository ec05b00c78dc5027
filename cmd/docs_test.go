package cmd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents is what people read, by its path from the root of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d documents: %v", len(all), err)
	}
	return all
}

// TestArchitectureNamesEveryPackage: who looks for the place of something finds it there.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := documents(t)["../docs/architecture.md"]
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if len(p.Imports) > 0 && !regexp.MustCompile(`(?m)(^|  )`+regexp.QuoteMeta(name)+`/? `).MatchString(text) {
			t.Errorf("docs/architecture.md does not say what %s is for", name)
		}
	}
}

var (
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	file = regexp.MustCompile(`\b(?:bpf|cmd|hostagent|lab|switchagent)/[\w/]+\.(?:go|sh|c|h)\b`)
	test = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	goes = regexp.MustCompile(`go test [^\n]*-(?:bench|run) (\w+)[^\n]*?\./([\w/]+)`)
)

// TestDocumentsNameWhatIsThere: links lead somewhere, and files, tests and benchmarks that are named exist.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	functions := functionsOfTests(t)
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		for _, name := range file.FindAllString(text, -1) {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		for _, name := range test.FindAllString(text, -1) {
			if !slices.ContainsFunc(functions, func(f string) bool { return strings.HasSuffix(f, "."+name) }) {
				t.Errorf("%s: there is no %s", path, name)
			}
		}
		for _, m := range goes.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(functions, func(f string) bool {
				in, name, _ := strings.Cut(f, ".")
				return in == m[2] && strings.Contains(name, m[1])
			}) {
				t.Errorf("%s: nothing in %s runs by the name of %s", path, m[2], m[1])
			}
		}
	}
}

// functionsOfTests is every test, fuzz target and benchmark as "directory.Name".
func functionsOfTests(t *testing.T) (all []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			dir, _ := filepath.Rel("..", filepath.Dir(path))
			all = append(all, dir+"."+m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
