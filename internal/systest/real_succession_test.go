// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// succession is one way in which a process of the team follows another.
type succession struct {
	name string
	end  func(w *world, pid int)
}

var (
	restarted = succession{name: "restart", end: func(w *world, _ int) { w.restart() }}
	killed    = succession{name: "kill -9", end: func(w *world, pid int) {
		labtest.Must(w.t, unix.Kill(pid, unix.SIGKILL))
	}}
)

// next ends the process, and returns the status of the next one.
func (s succession) next(w *world) *api.Status {
	w.t.Helper()
	was := w.teamProcess()
	s.end(w, was)
	return s.await(w, was)
}

// await returns the status of the process after the one with that PID. It must have begun warm.
func (s succession) await(w *world, was int) (is *api.Status) {
	w.t.Helper()
	labtest.Eventually(w.t, "the next process answers", func() bool {
		is = &api.Status{}
		r := w.try("status", teamName, "--json")
		return r.Code == 0 && json.Unmarshal([]byte(r.Out), is) == nil && is.PID != was
	})
	if is.Supervisor.LastStart != "warm" {
		w.t.Errorf("the next process has %+v", is.Supervisor)
	}
	return is
}

// TestProcessesFollowEachOther replaces the process under traffic both ways: nothing is lost, doubled or reordered, and
// the team does not change.
func TestProcessesFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode, path string
		by         succession
	}{{"elb", "fastpath", killed}, {"active-backup", "relay", restarted}, {"xor", "relay", killed}} {
		t.Run(fmt.Sprintf("%s by the %s, %s", tt.mode, tt.path, tt.by.name), func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{Datapath: tt.path, LAG: tt.mode == "xor"})
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
				bound := stalled(r)
				if r.Duplicated > bound || r.Reordered > bound {
					t.Errorf("%s: %v", way, r)
				}
				if tt.by.name == killed.name && tt.path == "relay" {
					bound += 2 * lostByKill
				}
				if r.Lost > bound {
					t.Errorf("%s: %v", way, r)
				}
			}
			w.checkOnlyRestarts()
		})
	}
}

// lostByKill is how many frames a killed relay may have read and not passed on: a batch.
const lostByKill = 256

// checkOnlyRestarts checks that nothing has happened to the team since its first process was replaced.
func (w *world) checkOnlyRestarts() {
	w.t.Helper()
	said := strings.Split(strings.TrimSpace(w.nicteam("events", teamName)), "\n")
	restarts := false
	for _, line := range said {
		switch {
		case strings.Contains(line, " restarted"):
			restarts = true
		case restarts && !strings.Contains(line, " flow-moved"):
			w.t.Errorf("while processes followed each other: %s", line)
		}
	}
	if !restarts {
		w.t.Errorf("no event restarted:\n%s", strings.Join(said, "\n"))
	}
}
