// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// failer is what a test and a rapid test have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

const adapterMAC = frame.MAC(0x0200_0000_00aa)

// rig drives a Loop in virtual time.
type rig struct {
	t    failer
	l    *Loop
	now  time.Time
	out  Output // the last one
	log  []string
	plan *spread.Plan
}

func newRig(t testing.TB, change func(*settings.Config)) *rig {
	t.Helper()
	c := activeBackup()
	if change != nil {
		change(&c)
	}
	l, err := NewLoop(c, LoopOptions{Adapter: adapterMAC, Salt: 42})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, l: l, now: time.Unix(1_700_000_000, 0)}
	r.do(Tick{})
	return r
}

func (r *rig) do(in Input) Output {
	r.out = r.l.Handle(r.now, in)
	if r.out.Plan != nil {
		r.plan = r.out.Plan
	}
	for _, e := range r.out.Events {
		s := e.Event
		if e.Member != "" {
			s += " " + e.Member
		}
		if e.Reason != "" {
			s += ": " + e.Reason
		}
		r.log = append(r.log, s)
	}
	return r.out
}

// events returns what happened since it was last called.
func (r *rig) events() []string {
	log := r.log
	r.log = nil
	return log
}

func linkOf(n int) Link {
	return Link{Name: fmt.Sprintf("eth%d", n), Index: 10 + n, MAC: frame.MAC(0x0200_0000_0000 + uint64(n))}
}

// join makes eth<n> a member.
func (r *rig) join(n int) int {
	r.t.Helper()
	out := r.do(Reserve{Link: linkOf(n)})
	if out.Err != nil {
		r.t.Fatal(out.Err)
	}
	r.do(Joined{ID: out.ID, Link: linkOf(n)})
	return out.ID
}

func (r *rig) link(n int, up bool) Output {
	s := monitor.LinkState{Index: 10 + n, Watch: "carrier", Up: up, At: r.now,
		Link: monitor.Link{Exists: true, AdminUp: true, Carrier: up, SpeedBps: 1e9, Duplex: "full"}}
	if !up {
		s.Reason = monitor.ReasonCarrier
	}
	return r.do(LinkChanged{s})
}

// linkAs is link with a speed and a duplex.
func (r *rig) linkAs(n int, up bool, l monitor.Link) Output {
	l.Exists, l.AdminUp, l.Carrier = true, true, up
	return r.do(LinkChanged{monitor.LinkState{Index: 10 + n, Watch: "carrier", Up: up, At: r.now, Link: l}})
}

func (r *rig) gone(n int) Output {
	return r.do(LinkChanged{monitor.LinkState{Index: 10 + n, Watch: "carrier", At: r.now, Reason: monitor.ReasonGone}})
}

// run lets time pass, ticking at every deadline.
func (r *rig) run(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for i := 0; ; i++ {
		next := r.l.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if i > 10_000 {
			r.t.Fatal("deadlines without end")
		}
		if next.After(r.now) {
			r.now = next
		}
		r.do(Tick{})
		if next := r.l.Deadline(); !next.IsZero() && !next.After(r.now) {
			r.t.Fatalf("deadline %v is still due after its tick at %v", next, r.now)
		}
	}
	r.now = end
}

func (r *rig) state() string {
	s := r.l.Status()
	return s.State
}

func (r *rig) member(n int) api.Member {
	r.t.Helper()
	for _, m := range r.l.Status().Members {
		if m.Name == linkOf(n).Name {
			return m
		}
	}
	r.t.Fatalf("eth%d is no member", n)
	return api.Member{}
}

func (r *rig) wantEvents(what string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.events(), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("events of %s (-want +got):\n%s", what, diff)
	}
}

func (r *rig) wantProblem(kind api.ExitCode, part string) {
	r.t.Helper()
	var p *api.Problem
	if !errors.As(r.out.Err, &p) {
		r.t.Fatalf("not refused, want %q", part)
	}
	if p.Kind != kind || !strings.Contains(p.Error(), part) {
		r.t.Errorf("refused with %d %q, want %d with %q", p.Kind, p.Error(), kind, part)
	}
	if p.What == "" || p.Why == "" || p.Fix == "" {
		r.t.Errorf("problem without its three lines: %+v", p)
	}
}
