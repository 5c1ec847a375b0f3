// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/supervisor"
	"nicteam/internal/tick"
)

// A watchdog tells the supervisor that the team works, and how it is. The sign of life needs the control loop to have
// looked at the data path, and each goroutine of the data path to have come between two batches. A busy machine only
// delays the sign; one that hangs ends it, and the supervisor kills the process and starts the next one.
type watchdog struct {
	supervisor *supervisor.Supervisor
	loop       func(context.Context) error // returns when the control loop has looked at the data path
	path       func() error                // returns when the data path has moved on
	status     func() *api.Status

	// ending: the host is given back. Until then, control loop and data path may stand still.
	ending   atomic.Pointer[time.Time]
	endBegan chan struct{} // has one when ending was set, for works

	told string // the last STATUS
}

const (
	// endPatience bounds a give-back, which waits for the kernel and for other programs.
	endPatience = time.Minute
	// statusInterval is how often the STATUS is compared when there is no watchdog.
	statusInterval = time.Second
)

// run tells the supervisor until ctx ends.
func (w *watchdog) run(ctx context.Context) {
	every := statusInterval
	if d := w.supervisor.Watchdog(); d > 0 {
		every = d / 2
	}
	look := func() {
		if w.works(ctx) {
			w.tell()
		}
	}
	look()
	for range tick.Beat(ctx, every) {
		look()
	}
}

// works returns true when the team works. It does not return while something hangs.
func (w *watchdog) works(ctx context.Context) bool {
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- w.loop(asked) }()
	go func() { done <- w.path() }()
	for missing := 2; missing > 0; {
		if at := w.ending.Load(); at != nil {
			return time.Since(*at) < endPatience
		}
		select {
		case err := <-done:
			if err != nil && w.ending.Load() == nil {
				return false
			}
			missing--
		case <-w.endBegan:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// tell sends the sign of life, and the STATUS if it has changed.
func (w *watchdog) tell() {
	lines := []string{"WATCHDOG=1"}
	if text := "STATUS=" + statusText(w.status()); text != w.told && w.ending.Load() == nil {
		w.told = text
		lines = append(lines, text)
	}
	_ = w.supervisor.Notify(lines...) // the status of the team tells if nobody hears it
}

// end notes that the host is given back; resume that it was not.
func (w *watchdog) end() {
	if w == nil {
		return // the team did not come up
	}
	now := time.Now()
	w.ending.CompareAndSwap(nil, &now)
	select {
	case w.endBegan <- struct{}{}:
	default:
	}
}

func (w *watchdog) resume() {
	if w != nil {
		w.ending.Store(nil)
	}
}

// statusText is a team's state for systemctl status: "2/2 up, elb, fastpath".
func statusText(s *api.Status) string {
	up := 0
	for _, m := range s.Members {
		if m.State == "up" || m.State == "standby" {
			up++
		}
	}
	text := fmt.Sprintf("%d/%d up, %s, %s", up, len(s.Members), s.Mode, s.Datapath)
	if s.State != "up" {
		text = s.State + ": " + text
		if s.Reason != "" {
			text += ": " + s.Reason
		}
	}
	return text
}

// addSupervisor tells in a status who stands behind the process.
func (s *session) addSupervisor(st *api.Status) {
	v := s.supervisor
	st.Supervisor.Kind, st.Supervisor.WatchdogNS = v.Kind(), v.Watchdog().Nanoseconds()
	if v.Kind() == "" {
		st.Supervisor.Kind = supervisorNone
	}
	if v.Lost() {
		st.Supervisor.Lost = true
		st.Warnings = append(st.Warnings, "the "+v.Kind()+" behind the team's process is gone: the team ends with "+
			"this process; nicteam restart "+st.Team+" starts both anew")
	}
}

// supervisorNone is the kind of no supervisor, in the status.
const supervisorNone = "none"
