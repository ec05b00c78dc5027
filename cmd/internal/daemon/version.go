package daemon

import (
	"errors"
	"runtime/debug"
	"strings"
)

// Version is one line with what the linker knows of the program: its version, commit and Go release.
func Version(name string) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the program was built without modules: it does not know its version")
	}
	return describeBuild(name, info), nil
}

// describeBuild is one line; what the build does not know is left out.
func describeBuild(name string, info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	words := []string{name, info.Main.Version}
	if revision := settings["vcs.revision"]; revision != "" {
		words = append(words, "commit "+revision, settings["vcs.time"])
		if settings["vcs.modified"] == "true" {
			words = append(words, "with changes")
		}
	}
	return strings.Join(append(words, info.GoVersion), " ")
}
