// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"nicteam/internal/api"
)

// processLines tell of the team's process and of who stands behind it.
func processLines(s *api.Status, now time.Time) (lines []string) {
	v := s.Supervisor
	if v == nil {
		return nil
	}
	behind := map[string]string{
		"systemd": "under systemd", "keeper": "under its keeper",
		"none": "unsupervised: if it is killed, the host has no network until it is started again",
	}[v.Kind]
	text := fmt.Sprintf("process %d, %s, %s", s.PID, s.Version, behind)
	if v.WatchdogNS > 0 {
		text += fmt.Sprintf(", watchdog %v", time.Duration(v.WatchdogNS))
	}
	lines = append(lines, text)
	start := fmt.Sprintf("started %s ago", ago(now.Sub(s.Started)))
	switch v.After {
	case "handover":
		start += fmt.Sprintf(": %s start after a restart", v.LastStart)
	case "death":
		start += fmt.Sprintf(": %s start after its predecessor died", v.LastStart)
	}
	if v.FromVersion != "" && v.FromVersion != s.Version {
		start += " of " + v.FromVersion
	}
	if v.Starts > 1 {
		start += fmt.Sprintf(", start %d of the team", v.Starts)
	}
	lines = append(lines, start+parenthesis(v.Reason))
	if v.Unconfined != "" {
		lines = append(lines, "not confined: "+v.Unconfined)
	}
	return lines
}
