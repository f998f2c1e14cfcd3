package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo() // nil where the toolchain put none into the binary
			_, err := fmt.Fprintf(a.stdout, "loopkey %s %s/%s %s%s\n",
				versionOf(info), runtime.GOOS, runtime.GOARCH, runtime.Version(), commitOf(info))
			return err
		},
	}
}

// version returns the version that the Go toolchain put into the binary.
func version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if info == nil || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// commitOf returns which commit of the repository the binary was built from, and whether with other changes too; ""
// where the Go toolchain did not see the repository.
func commitOf(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	setting := func(key string) string {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return info.Settings[i].Value
	}
	revision := setting("vcs.revision")
	if revision == "" {
		return ""
	}
	if setting("vcs.modified") == "true" {
		return " commit " + revision[:min(12, len(revision))] + " with changes"
	}
	return " commit " + revision[:min(12, len(revision))]
}
