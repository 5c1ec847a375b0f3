package daemon

import (
	"log/slog"
	"os"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// CreateOptions say what Create makes and how.
type CreateOptions struct {
	Config settings.Config
	Places
	Foreground bool     // run the team in this process and return at its end
	DryRun     bool     // check and say the steps, change nothing
	NoPersist  bool     // leave no TEAM.yaml in the configuration directory
	Accept     bool     // the caller answers for filters of others that will no longer do what they are for
	Ready      *os.File // Foreground: where to report steps and readiness, nil for nowhere
	Notes      []string // warnings that are known already
	Progress   func(step string)
	Warn       func(text string) // told as they are found, most of them before anything is changed; all are in Created, too
	Version    string            // Foreground: told by GET /metrics
	Log        *slog.Logger
}

// Created says what Create did.
type Created struct {
	Steps    []string    `json:"steps"`
	Warnings []string    `json:"warnings"`
	Status   *api.Status `json:"status,omitempty"` // nil in a dry run
}

// RunOptions say what the team's own process runs.
type RunOptions struct {
	Config settings.Config
	Places
	Ready   *os.File // where to report steps and readiness, nil for nowhere
	Release bool     // give everything back when ctx ends
	Insist  bool     // somebody makes the team now and waits: what cannot be as wished is an error, as Config.Datapath fastpath, or a team out of reach
	Notes   []string // warnings that are known already
	Version string   // told by GET /metrics
	Log     *slog.Logger

	// RandomSystem says that Config.LACP.System was drawn just now; the one that was drawn for a process before this one
	// stays in its place.
	RandomSystem bool
}
