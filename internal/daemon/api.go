package daemon

import (
	"log/slog"
	"os"

	"nicteam/internal/settings"
	"nicteam/team"
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
	Steps    []string     `json:"steps"`
	Warnings []string     `json:"warnings"`
	Status   *team.Status `json:"status,omitempty"` // nil in a dry run
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

// Listing is the document nicteam.list/v1.
type Listing struct {
	Schema string       `json:"schema"`
	Teams  []ListedTeam `json:"teams"`
	NICs   []ListedNIC  `json:"nics"`
}

// ListedTeam is a team of this host, running or not.
type ListedTeam struct {
	Name    string   `json:"name"`
	Running bool     `json:"running"`
	Mode    string   `json:"mode"`
	State   string   `json:"state"` // up, degraded, down, "not running", "no answer"
	Members []string `json:"members"`
}

// ListedNIC is a NIC of this host.
type ListedNIC struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MAC       string   `json:"mac"`
	Driver    string   `json:"driver"`
	Up        bool     `json:"up"`   // administratively
	Link      bool     `json:"link"` // carrier
	SpeedBps  uint64   `json:"speed_bps"`
	Duplex    string   `json:"duplex"`
	MTU       int      `json:"mtu"`
	Addresses []string `json:"addresses"`
	Owner     string   `json:"owner"`  // "team team0", "bridge br0", … or ""
	Kind      string   `json:"kind"`   // as rtnetlink has it: "bridge", "veth", "tun", …; "device" for hardware
	Uppers    []string `json:"uppers"` // VLANs, macvlans, … that stand on it
}
