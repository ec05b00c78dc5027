package switchagent

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreExplained: docs/oncall.md says in the order of their checks what each reason means that a
// neighbour has no stanza, and docs/metrics.md lists the same.
func TestReasonsAreExplained(t *testing.T) {
	var want []string
	for _, reason := range allRefusals {
		want = append(want, string(reason))
	}
	for file, list := range map[string][2]string{
		"../docs/oncall.md":  {"\n## Why a neighbour has no stanza\n", "\n## "},
		"../docs/metrics.md": {"#why-a-neighbour-has-no-stanza): ", "\n"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, part, _ := strings.Cut(string(text), list[0])
		part, _, _ = strings.Cut(part, list[1])
		var got []string
		for _, name := range regexp.MustCompile("(?m)(?:^\\| |^|, )`(\\w+)`").FindAllStringSubmatch(part, -1) {
			got = append(got, name[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-checked +explained):\n%s", file, diff)
		}
	}
}
