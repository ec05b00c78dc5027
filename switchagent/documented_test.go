package switchagent

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAlertsCanFire: the expressions in the documentation name reasons that there are. Their metrics are those of
// TestMetricsAreDocumented.
func TestAlertsCanFire(t *testing.T) {
	text, err := os.ReadFile("../docs/switchagent.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, reasons := range regexp.MustCompile(`reason=~?"([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		for reason := range strings.SplitSeq(strings.ReplaceAll(reasons[1], `\|`, "|"), "|") {
			if found++; !slices.Contains(allRefusals, refusal(reason)) {
				t.Errorf("docs/switchagent.md names the reason %s, which there is not", reason)
			}
		}
	}
	if found < 9 {
		t.Errorf("only %d reasons are found", found)
	}
}
