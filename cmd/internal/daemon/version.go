package daemon

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// VersionCommand prints what the linker knows of the program.
func VersionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of the program, its commit and the Go release", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("the program was built without modules: it does not know its version")
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), describeBuild(cmd.Root().Name(), info))
			return err
		},
	}
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
