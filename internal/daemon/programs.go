// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"time"

	"nicteam/internal/tick"
)

// programsLook is how often the programs are looked for. A member without its program is silent while the relay
// believes that the program moves its frames.
const programsLook = time.Second

// followPrograms attaches programs again that another program has detached, until ctx ends. The kernel tells nobody.
func (s *session) followPrograms(ctx context.Context) {
	for range tick.Beat(ctx, programsLook) {
		s.attachAgain()
	}
}

func (s *session) attachAgain() {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	if s.isOver() {
		return
	}
	indexes := []int{s.adapter.Index()}
	for _, m := range s.team.Members() {
		if m.State == "absent" {
			continue
		}
		indexes = append(indexes, m.Index)
		switch again, err := s.host.IsolateAgain(m.Index); {
		case err != nil:
			s.log.Warn("isolation ended by another program", "member", m.Name, "err", err)
		case again:
			s.team.Record("drift", m.Name, "another program ended the NIC's isolation; it is isolated again")
		}
	}
	if !s.path.Engaged() {
		return
	}
	if err := s.host.CheckAttached(indexes...); err != nil {
		s.team.Record("drift", "", err.Error())
		s.datapath.suspend() // the relay moves the frames
		s.datapath.resume()
	}
}
