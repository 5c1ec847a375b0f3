// SPDX-License-Identifier: MIT

package daemon

import (
	"nicteam/internal/config"
	"nicteam/internal/settings"
)

// keepLastConfig keeps the configuration of a persistent team that has started: a later TEAM.yaml may not be valid.
func (s *session) keepLastConfig(c settings.Config) {
	if !s.dirs.Persistent(c.Team) {
		return
	}
	if err := config.Save(s.dirs.LastConfig(c.Team), c); err != nil {
		s.log.Warn("configuration not kept for a start without a valid one", "team", c.Team, "err", err)
	}
}
