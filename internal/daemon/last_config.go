// SPDX-License-Identifier: MIT

package daemon

import "nicteam/internal/config"

// keepLastConfig keeps the configuration of a persistent team that has started: a later TEAM.yaml may not be valid.
func (s *session) keepLastConfig(o Options) {
	if !o.Persistent(o.Config.Team) {
		return
	}
	if err := config.Save(o.LastConfig(o.Config.Team), o.Config); err != nil {
		s.log.Warn("configuration not kept for a start without a valid one", "team", o.Config.Team, "err", err)
	}
}
