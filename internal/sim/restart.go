// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Restart kills the team's process and starts another one after some time, with its predecessor's LACP state if
// remembers is set. The adapter and its hosts stay.
func (t *Team) Restart(after time.Duration, remembers bool) {
	t.w.Tell("%s: its process is killed", t.Name)
	var memory *lacp.Memory
	if remembers {
		memory = t.memory
	}
	nics, weights := t.stop()
	t.w.After(after, func() {
		t.w.Tell("%s: its process starts again, remembers %v", t.Name, memory != nil)
		t.newLoop(memory)
		t.tellRxMode()
		t.tellTargets()
		for i, n := range nics {
			t.Add(n, weights[i])
		}
	})
}

// stop ends the process without a last PDU.
func (t *Team) stop() (nics []*NIC, weights []float64) {
	t.life++
	t.saved, t.held, t.dead = nil, nil, false
	t.announcements++
	t.deadline.stop()
	t.backlogTimer.stop()
	t.measureTimer.stop()
	t.floodTimer.stop()
	t.stopWatching()
	t.stalled, t.late = 0, lateInputs{}
	for _, id := range t.ids {
		m := t.members[id]
		m.nic.up, m.nic.watch, m.nic.filter, m.nic.promisc = nil, nil, nil, false
		nics, weights = append(nics, m.nic), append(weights, m.weight)
		t.members[id] = nil
	}
	t.ids, t.plan, t.carrier = nil, &spread.Plan{Active: -1, Next: -1}, false
	t.picker = spread.Picker{Seed: t.picker.Seed}
	t.began = never
	clear(t.reported)
	return nics, weights
}

// Delete deletes the team.
func (t *Team) Delete() {
	t.ended = true
	t.handle(team.End{})
	t.stop()
}
