package switchagent

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestListOfFaultsIsTrue: each test that the list names is there.
func TestListOfFaultsIsTrue(t *testing.T) {
	var code []byte
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "../lab/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code = append(code, text...)
		}
	}
	list, err := os.ReadFile("../docs/switchagent-faults.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllSubmatch(list, -1)
	if len(names) < 24 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^func ` + string(name[1]) + `\(`).Match(code) {
			t.Errorf("%s is named and not there", name[1])
		}
	}
}
