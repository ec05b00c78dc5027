package cmd_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// rules is what Prometheus reads, as far as it is used here.
type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

var (
	metric   = regexp.MustCompile(`\b((?:hostagent|switchagent)_\w+)(?:\{([^}]*)\})?`)
	selector = regexp.MustCompile(`(\w+)(?:=~|!=|!~|=)"([^"]*)"`)
	row      = regexp.MustCompile("(?m)^\\| `[^\n]+$")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// TestAlertsAreOfMetricsThatExist holds the alerts against docs/metrics.md, which tests of the agents hold
// against what they register: names, labels, and values of labels.
func TestAlertsAreOfMetricsThatExist(t *testing.T) {
	labels, texts := documentedMetrics(t)
	alerts := readAlerts(t)
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			used := metric.FindAllStringSubmatch(r.Expr, -1)
			if len(used) == 0 && r.Expr != `up{job="`+g.Name+`"} == 0` {
				t.Errorf("%s: there is no metric of ours in %q", r.Alert, r.Expr)
			}
			for _, m := range used {
				if _, known := labels[m[1]]; !known {
					t.Errorf("%s: docs/metrics.md has no %s", r.Alert, m[1])
				}
				for _, s := range selector.FindAllStringSubmatch(m[2], -1) {
					if s[1] == "leaf" { // of the scrape's configuration
						continue
					}
					if !slices.Contains(labels[m[1]], s[1]) {
						t.Errorf("%s: %s has no label %s", r.Alert, m[1], s[1])
					}
					for value := range strings.SplitSeq(s[2], "|") {
						if !strings.Contains(texts[m[1]], "`"+value+"`") && strings.Trim(value, "0123456789") != "" {
							t.Errorf("%s: docs/metrics.md does not say that %s of %s may be %q", r.Alert, s[1], m[1], value)
						}
					}
				}
			}
		}
	}
}

// documentedMetrics reads docs/metrics.md: the labels of each metric, and what is said of it.
func documentedMetrics(t *testing.T) (labels map[string][]string, texts map[string]string) {
	t.Helper()
	labels, texts = map[string][]string{}, map[string]string{}
	for _, line := range row.FindAllString(documents(t)["../docs/metrics.md"], -1) {
		names, text, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range metric.FindAllStringSubmatch(names, -1) {
			labels[m[1]], texts[m[1]] = strings.Split(m[2], ","), text
		}
	}
	if len(labels) < 60 {
		t.Fatalf("only %d metrics are found", len(labels))
	}
	return labels, texts
}

func readAlerts(t *testing.T) (all rules) {
	t.Helper()
	text, err := os.ReadFile("../docs/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAlertsAreExplained: docs/oncall.md has a row for each alert, and for no other.
func TestAlertsAreExplained(t *testing.T) {
	_, text, _ := strings.Cut(documents(t)["../docs/oncall.md"], "\n## Alerts\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var explained, written []string
	for _, line := range row.FindAllString(text, -1) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range quoted.FindAllStringSubmatch(names, -1) {
			explained = append(explained, m[1])
		}
	}
	for _, g := range readAlerts(t).Groups {
		for _, r := range g.Rules {
			written = append(written, r.Alert)
			if s := r.Labels["severity"]; s != "page" && s != "ticket" || !strings.Contains(r.Annotations["summary"], "$labels.") {
				t.Errorf("%s: severity %q, summary %q", r.Alert, s, r.Annotations["summary"])
			}
		}
	}
	sameWords(t, "docs/oncall.md", explained, "docs/prometheus/alerts.yaml", written)
}

// sameWords wants two lists to have the same members, each once.
func sameWords(t *testing.T, here string, one []string, there string, other []string) {
	t.Helper()
	for i, list := range [][]string{one, other} {
		places, rest := []string{here, there}, [][]string{other, one}[i]
		slices.Sort(list)
		for j, word := range list {
			if j > 0 && word == list[j-1] {
				t.Errorf("%s has %q twice", places[i], word)
			}
			if !slices.Contains(rest, word) {
				t.Errorf("%s has %q, and %s has not", places[i], word, places[1-i])
			}
		}
	}
}
