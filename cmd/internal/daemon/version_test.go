package daemon

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	main := debug.Module{Version: "v1.2.3"}
	for want, info := range map[string]*debug.BuildInfo{
		"agent v1.2.3 go1.26": {Main: main, GoVersion: "go1.26"},
		"agent v1.2.3 commit abc 2026-01-02T03:04:05Z with changes go1.26": {Main: main, GoVersion: "go1.26", Settings: []debug.BuildSetting{
			setting("vcs.revision", "abc"), setting("vcs.time", "2026-01-02T03:04:05Z"), setting("vcs.modified", "true"),
		}},
	} {
		if got := describeBuild("agent", info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if line, err := Version("agent"); err != nil || !strings.HasPrefix(line, "agent ") || !strings.Contains(line, "go1.") {
		t.Errorf("%q %v", line, err)
	}
}
