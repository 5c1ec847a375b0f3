// SPDX-License-Identifier: MIT

package monitor

import "time"

// WatchesCheckpoint is the state of Watches for a process that takes over from another one: verdicts, not rounds.
type WatchesCheckpoint struct {
	Members []WatchedCheckpoint `json:"members,omitempty"` // by id
}

// WatchedCheckpoint is that of one member.
type WatchedCheckpoint struct {
	ID     int       `json:"id"`
	Name   string    `json:"name,omitempty"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// Checkpoint returns the state of w.
func (w *Watches) Checkpoint() (c WatchesCheckpoint) {
	for _, m := range w.members {
		if m.Link {
			c.Members = append(c.Members, WatchedCheckpoint{ID: m.ID, Name: m.Name, State: m.state, Reason: m.reason,
				Since: m.since})
		}
	}
	return c
}

// Resume gives w, which must be new, the verdicts of a checkpoint. It comes before the first SetMembers with links.
func (w *Watches) Resume(now time.Time, c *WatchesCheckpoint) {
	w.resumed = map[int]WatchedCheckpoint{}
	for _, m := range c.Members {
		w.resumed[m.ID] = m
	}
}

// resumeMember gives a member whose link is seen for the first time its verdict from before. One that was used is used
// at once. One that was down stays down until it answers.
func (w *Watches) resumeMember(now time.Time, m *watched) {
	c, ok := w.resumed[m.ID]
	if !ok || !m.Link {
		return
	}
	delete(w.resumed, m.ID)
	switch {
	case c.Name != "" && c.Name != m.Name:
		return
	case c.State == Down:
		m.hold(now, c.Reason)
	case c.State == Unknown:
		m.admitted = true
	case c.State != Waiting:
		m.admitted, c.State, m.wasUp = true, Up, now.Add(w.cfg.AdmissionWait)
	}
	m.state = c.State
	m.since = c.Since
}
