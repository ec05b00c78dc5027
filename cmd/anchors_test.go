package cmd_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	anchored = regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	code     = regexp.MustCompile("(?ms)^```.*?^```")
)

// anchors are the fragments that lead to a document's headings, as GitHub makes them.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(m[1])))
	}
	return all
}

// TestLinksLeadToHeadings: a link with a fragment leads to a heading that is there, so that who is on
// call does not land at the top of a long page.
func TestLinksLeadToHeadings(t *testing.T) {
	all, links := documents(t), 0
	for path, text := range all {
		for _, m := range anchored.FindAllStringSubmatch(text, -1) {
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			if links++; !slices.Contains(anchors(all[target]), m[2]) {
				t.Errorf("%s: %s has no heading %q", path, target, m[2])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links are found", links)
	}
}
