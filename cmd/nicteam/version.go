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
			v, revision := built()
			if a.json {
				return a.document(struct {
					Schema   string `json:"schema"`
					Version  string `json:"version"`
					Revision string `json:"revision"`
					Go       string `json:"go"`
					OS       string `json:"os"`
					Arch     string `json:"arch"`
				}{"nicteam.version/v1", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			if revision != "" {
				v += " (" + revision + ")"
			}
			a.say("nicteam %s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// built is what the linker or the Go command noted.
func built() (v, revision string) {
	v = version
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if v == "" {
		v = "unknown"
	}
	return v, revision
}
