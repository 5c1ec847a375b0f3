// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
)

// GapLimit is the longest gap that the loss of a cable may cause, without what the machine stood still.
const GapLimit = 50 * time.Millisecond

// Result is what a step showed.
type Result struct {
	Step    string
	Answers Answers
	Beat    Beat
	Moved   time.Duration // until the other director had both addresses; 0: they stayed
	Both    time.Duration // for so long both directors had an address
	Broken  []string      // what had to hold and did not
	Late    []string      // what took longer than it may: a busy machine decides that, too
}

func (r *Result) String() string {
	s := fmt.Sprintf("%s: %v; %v", r.Step, r.Answers, r.Beat)
	if r.Moved > 0 {
		s += fmt.Sprintf("; addresses moved after %v", r.Moved.Round(time.Millisecond))
	}
	if r.Both > 0 {
		s += fmt.Sprintf("; both directors had one for %v", r.Both.Round(100*time.Microsecond))
	}
	if all := append(r.Broken, r.Late...); len(all) > 0 {
		s += "\n  " + strings.Join(all, "\n  ")
	}
	return s
}

func (r *Result) broken(format string, args ...any) {
	r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
}

func (r *Result) late(format string, args ...any) {
	r.Late = append(r.Late, fmt.Sprintf(format, args...))
}

func (r *Result) check(err error) {
	if err != nil {
		r.broken("%v", err)
	}
}

// advertInterval is that of the site.
func (s *Site) advertInterval() time.Duration {
	if s.o.Advert == "" {
		return time.Second
	}
	d, _ := time.ParseDuration(s.o.Advert + "s")
	return d
}

// takeoverLimit is how long the addresses may be nowhere.
func (s *Site) takeoverLimit() time.Duration { return 5 * s.advertInterval() }

// unnoticed runs a step that nobody may notice: no request fails, the download is whole, the session lives, no address
// moves, and the longest gap is short.
func (t *Traffic) unnoticed(ctx context.Context, name string, step func() error) *Result {
	r := &Result{Step: name}
	d := t.download(ctx)
	defer d.Close()
	if err := await(ctx, requestLimit, func() bool { return d.Received() > t.sizes.File/16 }); err != nil {
		r.broken("the download does not start: %v", err)
	}
	begun := time.Now()
	r.check(step())
	ended := time.Now()
	r.check(d.Wait(time.Minute))
	r.check(t.session.Alive())
	r.Answers, r.Beat = t.Between(begun, ended)
	if r.Answers.Failed > 0 {
		r.broken("%d requests failed: %v", r.Answers.Failed, r.Answers.First)
	}
	if n := t.site.Holders.Moves(begun); n > 0 {
		r.broken("addresses moved %d times", n)
	}
	if r.Beat.Doubled > 0 {
		r.broken("%d datagrams came twice", r.Beat.Doubled)
	}
	if r.Beat.Gap.Net > GapLimit {
		r.late("a gap of %v, want at most %v", r.Beat.Gap, GapLimit)
	}
	return r
}

// pause lets traffic show what a failure does.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// afterFailure is how long a part stays away where nothing says when all is over.
const afterFailure = 1500 * time.Millisecond

// Nothing lets nothing fail: its gap is what the machine's other work costs.
func (t *Traffic) Nothing(ctx context.Context) *Result {
	r := t.unnoticed(ctx, "nothing fails", func() error { return pause(ctx, 2*afterFailure) })
	r.Late = nil
	return r
}

// Cable pulls the cable of one NIC and plugs it in again.
func (t *Traffic) Cable(ctx context.Context, h *Server, nic string) *Result {
	return t.unnoticed(ctx, fmt.Sprintf("a cable of %s (%s)", h.Label, nic), func() error {
		if err := h.Cut(nic); err != nil {
			return err
		}
		if err := pause(ctx, afterFailure); err != nil {
			return err
		}
		if err := h.Mend(nic); err != nil {
			return err
		}
		return h.awaitMembers(ctx, len(nics))
	})
}

// Switch takes switch a away, with the cables of all servers and its own, and brings it back.
func (t *Traffic) Switch(ctx context.Context) *Result {
	s := t.site
	return t.unnoticed(ctx, "switch a", func() error {
		for _, h := range s.Servers() {
			if err := h.Cut("eth1"); err != nil {
				return err
			}
		}
		if err := s.uplink.Cut(); err != nil {
			return err
		}
		if err := pause(ctx, afterFailure); err != nil {
			return err
		}
		if err := s.uplink.Mend(); err != nil {
			return err
		}
		for _, h := range s.Servers() {
			if err := h.Mend("eth1"); err != nil {
				return err
			}
		}
		for _, h := range s.Servers() {
			if err := h.awaitMembers(ctx, len(nics)); err != nil {
				return err
			}
		}
		return nil
	})
}

// HasSwitches reports whether each NIC of a server has a switch of its own.
func (s *Site) HasSwitches() bool { return s.uplink != nil }

// KillTeam kills the team's process on vs1. The next one goes on.
func (t *Traffic) KillTeam(ctx context.Context) *Result {
	h := t.site.VS1
	r := t.unnoticed(ctx, "kill -9 of nicteam on vs1", func() error {
		st, err := h.Status(ctx)
		if err != nil {
			return err
		}
		if n := h.kill(" run " + teamName); n != 1 {
			return fmt.Errorf("%d processes of the team", n)
		}
		return h.awaitStatus(ctx, "another process of the team", func(s *api.Status) bool {
			return s.PID != st.PID && s.State == "up"
		})
	})
	if t.site.o.Datapath == "relay" {
		r.Late = nil // what arrives before the next process serves waits or is lost
	}
	return r
}

// Status is that of the server's team.
func (h *Server) Status(ctx context.Context) (*api.Status, error) {
	c := control.NewClient(h.Path("/run/nicteam"), teamName)
	defer c.Close()
	return c.Status(ctx)
}

func (h *Server) awaitStatus(ctx context.Context, what string, holds func(*api.Status) bool) error {
	var st *api.Status
	err := await(ctx, 20*time.Second, func() bool {
		var failed error
		st, failed = h.Status(ctx)
		return failed == nil && holds(st)
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w: %+v", h.Label, what, err, st)
	}
	return nil
}

// awaitMembers waits until so many members can be used.
func (h *Server) awaitMembers(ctx context.Context, want int) error {
	return h.awaitStatus(ctx, fmt.Sprintf("%d usable members", want), func(s *api.Status) bool {
		n := 0
		for _, m := range s.Members {
			if m.State == "up" || m.State == "standby" {
				n++
			}
		}
		return n == want
	})
}
