// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// succession is one way in which a process of the team follows another.
type succession struct {
	name string
	next func(w *world) *api.Status // ends the process, and returns the status of the next one
}

// restarted replaces the process by `nicteam restart`.
var restarted = succession{"restart", func(w *world) *api.Status {
	if r := w.restart(); r.LastStart != "warm" {
		w.t.Errorf("the next process has begun %s: %+v", r.LastStart, r)
	}
	return w.status()
}}

// TestProcessesFollowEachOther replaces the process under traffic both ways: nothing is lost, doubled or reordered, and
// the team does not change.
func TestProcessesFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode, path string
		by         succession
	}{{"elb", "fastpath", restarted}, {"active-backup", "relay", restarted}} {
		t.Run(fmt.Sprintf("%s by the %s, %s", tt.mode, tt.path, tt.by.name), func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{Datapath: tt.path})
			w.create(nics(2), "--mode", tt.mode)
			connections := startConnections(t, w.box, w.peer, peer4)
			tr := w.traffic(lab.Stream{Rate: 2000, Flows: 16})
			checkProgress(t, "at first", connections)
			was := w.status()
			for range 2 {
				tr.awaitFrames(500)
				is := tt.by.next(w)
				for i, m := range is.Members {
					if b := was.Members[i]; m.Name != b.Name || m.State != b.State || m.Failures != b.Failures ||
						m.Distributing != b.Distributing || m.Collecting != b.Collecting {
						t.Errorf("%s is %+v, was %+v", m.Name, m, b)
					}
				}
				if is.State != "up" || is.Active != was.Active || is.Since.Sub(was.Since).Abs() > time.Second ||
					is.Datapath != tt.path || is.Supervisor.LastStart != "warm" {
					t.Errorf("the next process has %+v\nthe one before had %+v", is, was)
				}
			}
			tr.awaitFrames(500)
			checkProgress(t, "at the end", connections)
			out, in := tr.stop()
			for way, r := range map[string]lab.Report{"box → peer": out, "peer → box": in} {
				if bound := stalled(r); r.Lost > bound || r.Duplicated > bound || r.Reordered > bound {
					t.Errorf("%s: %v", way, r)
				}
			}
			w.checkOnlyRestarts()
		})
	}
}

// checkOnlyRestarts checks that nothing has happened to the team since its first process was replaced.
func (w *world) checkOnlyRestarts() {
	w.t.Helper()
	said := strings.Split(strings.TrimSpace(w.nicteam("events", teamName)), "\n")
	first := 0
	for i, line := range said {
		if strings.Contains(line, " restarted") {
			first = i
			break
		}
	}
	for _, line := range said[first:] {
		if !strings.Contains(line, " restarted") && !strings.Contains(line, " flow-moved") {
			w.t.Errorf("while processes followed each other: %s", line)
		}
	}
	if first == 0 {
		w.t.Errorf("no event restarted:\n%s", strings.Join(said, "\n"))
	}
}
