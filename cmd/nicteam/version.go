// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: `  nicteam version --json`,
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.document(&api.Version{Schema: api.VersionSchema, Version: version, Revision: revision(),
					Go: runtime.Version(),
					OS: runtime.GOOS, Arch: runtime.GOARCH})
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

// revision is set by the linker, else recorded by the Go command; "" without either.
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
