package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: `  nicteam version --json`,
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.document(struct {
					Schema   string `json:"schema"`
					Version  string `json:"version"`
					Revision string `json:"revision"`
					Go       string `json:"go"`
					OS       string `json:"os"`
					Arch     string `json:"arch"`
				}{"nicteam.version/v1", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			detail := ""
			if r := revision(); r != "" {
				detail = " (" + r + ")"
			}
			a.say("nicteam %s%s %s %s/%s", version, detail, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// revision is what the build was told, else what the Go command noted; empty without either.
func revision() string {
	if build != "" {
		return build
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return ""
}
