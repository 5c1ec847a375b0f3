// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"time"

	"nicteam/internal/settings"
)

// usablePatience bounds the wait for a NIC that joins again.
const usablePatience = time.Second

// oneActive returns the member that sends everything, "" if the mode has none.
func (s *session) oneActive(c *settings.Config) string {
	if !c.Mode.OneActive(c.Balance) {
		return ""
	}
	return s.team.Status().Active
}

// goBackToActive makes the member active again that was. The one that the change made active would stay it, though it
// may be what cut the host off.
func (s *session) goBackToActive(ctx context.Context, was snapshot) (fault string) {
	c := s.team.Config()
	is := s.oneActive(&c)
	if was.active == "" || is == "" || is == was.active || c.Index(was.active) < 0 {
		return ""
	}
	until := time.Now().Add(usablePatience)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !s.isUsable(was.active) && time.Now().Before(until) {
		<-look.C
	}
	byHand := c.Active
	c.Active = was.active
	err := s.team.Set(ctx, c)
	if err == nil {
		c.Active = byHand
		err = s.team.Set(ctx, c)
	}
	if err != nil {
		return fmt.Sprintf("%s stays active: %v", is, err)
	}
	return ""
}

// isUsable reports whether a member works.
func (s *session) isUsable(name string) bool {
	for _, m := range s.team.Status().Members {
		if m.Name == name {
			return m.State == "up" || m.State == "standby"
		}
	}
	return false
}
