// SPDX-License-Identifier: MIT

package team

import (
	"sync/atomic"
	"time"
)

const (
	// checkpointGap is the least time between two Checkpoints that nobody must find at once: of peers, stations, LACP
	// timers. What a Plan follows from is saved with the Plan.
	checkpointGap = 100 * time.Millisecond
	// checkpointShare bounds what saving costs: after it comes a pause of so many times its duration.
	checkpointShare = 50
)

// checkpointSaver saves Checkpoints in its own goroutine. Only save and box are set where they are not saved.
type checkpointSaver struct {
	save func(*Checkpoint) // nil: not at all
	box  *mailbox[*Checkpoint]
	took atomic.Int64 // how long the last one took to save, ns

	// For who has the turn.
	dirty   bool
	savedAt time.Time
}

// deadline is when a Checkpoint is due, zero for never.
func (s *checkpointSaver) deadline() time.Time {
	if !s.dirty || s.save == nil {
		return time.Time{}
	}
	return s.savedAt.Add(max(checkpointGap, checkpointShare*time.Duration(s.took.Load())))
}

// updateCheckpoint takes a Checkpoint, if one is due.
func (t *Team) updateCheckpoint(changes, urgent bool) {
	s := &t.saver
	s.dirty = s.dirty || changes
	now := time.Now()
	if d := s.deadline(); !urgent && (d.IsZero() || now.Before(d)) || s.save == nil {
		return
	}
	s.dirty, s.savedAt = false, now
	t.o.Panics.Do(panicSaver, func() { s.box.put(t.loop.Checkpoint(now)) })
}

// runCheckpointSaver saves Checkpoints until the team ends.
func (t *Team) runCheckpointSaver() {
	if t.saver.save == nil {
		return
	}
	for ended := false; !ended; {
		select {
		case <-t.saver.box.wake:
		case <-t.ended:
			ended = true
			select {
			case <-t.saver.box.wake:
			default:
				return
			}
		}
		began := time.Now()
		t.o.Panics.Do(panicSaver, func() { t.saver.save(t.saver.box.take()) })
		t.saver.took.Store(int64(time.Since(began)))
	}
}
