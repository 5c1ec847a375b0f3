// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/launch"
	"nicteam/internal/settings"
	"nicteam/internal/tchook"
)

// fakePath engages unless engageErr is set.
type fakePath struct {
	engageErr  error
	engaged    bool
	tries      int
	hookChecks int // calls of hooksHeld
	blind      error
	lost       chan error
}

func (e *fakePath) Blind() error { return e.blind }

func (e *fakePath) Engage() error {
	if !e.engaged {
		e.tries++
		e.engaged = e.engageErr == nil
	}
	return e.engageErr
}

func (e *fakePath) Disengage() error   { e.engaged = false; return nil }
func (e *fakePath) Engaged() bool      { return e.engaged }
func (e *fakePath) Lost() <-chan error { return e.lost }

// selectorRig is a datapathSelector and what it reports.
type selectorRig struct {
	*datapathSelector
	path        *fakePath
	status      string
	warning     string
	longBacklog bool // setBacklog(true)
}

func newSelectorRig(wrong error) *selectorRig {
	e := &fakePath{engageErr: wrong, lost: make(chan error, 1)}
	c := &selectorRig{path: e}
	c.datapathSelector = &datapathSelector{path: e, log: slog.New(slog.DiscardHandler),
		hooksHeld: func() error {
			if e.hookChecks++; errors.As(e.engageErr, new(*tchook.HookHeld)) {
				return e.engageErr
			}
			return nil
		},
		setBacklog: func(fast bool) error { c.longBacklog = fast; return errors.New("read-only file system") },
		report:     func(name, reason string) { c.status = name + ": " + reason },
		warn:       func(text string) { c.warning = text }}
	return c
}

var (
	errHeld = fmt.Errorf("member eth1: %w", &tchook.HookHeld{NIC: "eth1", Hook: "ingress",
		Who: `tcx program "x" (id 12)`})
	errVerdict = errors.New("load programs: the verifier says no")
)

const (
	fastWhy = "fastpath: eBPF"
	heldWhy = `relay: ingress of eth1 is held by tcx program "x" (id 12)`
	noWhy   = "relay: load programs: the verifier says no"

	notPossible = "datapath=fastpath is not possible, the relay moves the frames: " +
		`ingress of eth1 is held by tcx program "x" (id 12)`
)

// The status says what programs cannot do here.
func TestBlindPrograms(t *testing.T) {
	c := newSelectorRig(nil)
	c.path.blind = errors.New("no BTF found for kernel version 6.1")
	err := c.start("auto", true)
	want := fastWhy + "; that a member has lost its link they do not see by themselves: " + c.path.blind.Error()
	if err != nil || c.status != want {
		t.Errorf("%v, status %q, want %q", err, c.status, want)
	}
}

// TestDatapathStart: only with strict is datapath=fastpath that is not possible an error.
func TestDatapathStart(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wanted  string
		strict  bool
		wrong   error
		status  string
		warning string
		err     error
	}{
		{name: "auto", wanted: "auto", strict: true, status: fastWhy},
		{name: "fastpath", wanted: "fastpath", strict: true, status: fastWhy},
		{name: "relay", wanted: "relay", status: "relay: set by datapath=relay"},
		{name: "auto, held", wanted: "auto", strict: true, wrong: errHeld, status: heldWhy},
		{name: "auto, refused", wanted: "auto", strict: true, wrong: errVerdict, status: noWhy},
		{name: "fastpath, held", wanted: "fastpath", strict: true, wrong: errHeld, err: errHeld},
		{name: "fastpath, held, not strict", wanted: "fastpath", wrong: errHeld, status: heldWhy,
			warning: notPossible},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newSelectorRig(tt.wrong)
			if err := c.start(tt.wanted, tt.strict); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if c.status != tt.status || c.warning != tt.warning {
				t.Errorf("status %q, warning %q; want %q, %q", c.status, c.warning, tt.status, tt.warning)
			}
			if got, want := c.path.engaged, tt.status == fastWhy; got != want {
				t.Errorf("engaged %v, want %v", got, want)
			}
			if c.longBacklog != c.path.engaged {
				t.Errorf("long queues: %v, engaged %v", c.longBacklog, c.path.engaged)
			}
		})
	}
}

// TestInterruptedDatapathStart: a start that is interrupted while programs are loaded fails.
func TestInterruptedDatapathStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, wanted := range []string{"auto", "relay"} {
		s := &session{datapath: newSelectorRig(nil).datapathSelector}
		u := &startup{session: s, config: settings.Config{Team: "team0", Datapath: wanted}, strict: true,
			rep: &launch.Reporter{Log: slog.New(slog.DiscardHandler)}}
		if err := u.startDatapath(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", wanted, err)
		}
	}
}

// TestSetDatapath: changes of the setting; one that is not possible changes nothing.
func TestSetDatapath(t *testing.T) {
	c := newSelectorRig(nil)
	type step struct {
		wanted  string
		wrong   error
		refused bool
		status  string
	}
	for _, s := range []step{
		{wanted: "relay", status: "relay: set by datapath=relay"},
		{wanted: "fastpath", wrong: errHeld, refused: true, status: "relay: set by datapath=relay"},
		{wanted: "auto", wrong: errHeld, status: heldWhy},
		{wanted: "fastpath", wrong: errHeld, refused: true, status: heldWhy},
		{wanted: "fastpath", status: fastWhy},
		{wanted: "auto", status: fastWhy},
		{wanted: "relay", wrong: errHeld, status: "relay: set by datapath=relay"},
	} {
		c.path.engageErr = s.wrong
		was := c.wanted
		err := c.setWanted(s.wanted)
		if (err != nil) != s.refused || c.status != s.status || c.warning != "" {
			t.Errorf("datapath=%s: error %v, status %q, warning %q; want %q", s.wanted, err, c.status, c.warning,
				s.status)
		}
		if want := s.wanted; c.wanted != want && !s.refused || s.refused && c.wanted != was {
			t.Errorf("datapath=%s: wanted is %q", s.wanted, c.wanted)
		}
		if c.path.engaged != strings.HasPrefix(c.status, "fastpath") || c.longBacklog != c.path.engaged {
			t.Errorf("datapath=%s: engaged %v, status %q, long queues %v", s.wanted, c.path.engaged, c.status,
				c.longBacklog)
		}
	}
}

// TestLostProgramsAreRetried: a fallback to the relay is reported at once. If the cause can go away by itself, the fast
// path is tried every 30 s, else not.
func TestLostProgramsAreRetried(t *testing.T) {
	for _, tt := range []struct {
		wanted, warning string
		wrong           error // when it is tried again
		looks, tries    int   // in two minutes
	}{
		{wanted: "auto", wrong: errHeld, looks: 4},
		{wanted: "auto", wrong: errVerdict, looks: 1, tries: 1},
		{wanted: "fastpath", warning: notPossible, wrong: errHeld, looks: 4},
	} {
		t.Run(tt.wanted+" "+tt.wrong.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newSelectorRig(nil)
				if err := c.start(tt.wanted, true); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go c.run(ctx)
				after := func(d time.Duration, look func()) {
					time.Sleep(d)
					synctest.Wait()
					c.mu.Lock()
					defer c.mu.Unlock()
					look()
				}
				after(0, func() { c.path.engaged, c.path.engageErr, c.path.tries = false, tt.wrong, 0 })
				c.path.lost <- errHeld
				after(0, func() {
					if c.status != heldWhy || c.warning != tt.warning {
						t.Errorf("status %q, warning %q", c.status, c.warning)
					}
				})
				after(4*retryInterval, func() {
					if c.path.hookChecks != tt.looks || c.path.tries != tt.tries {
						t.Errorf("looked %d times and tried %d times, want %d and %d", c.path.hookChecks, c.path.tries,
							tt.looks, tt.tries)
					}
					c.path.engageErr = nil
				})
				after(retryInterval, func() {
					if want := tt.looks > 1; c.path.engaged != want || (c.status == fastWhy) != want || want &&
						c.warning != "" {
						t.Errorf("nothing in the way: engaged %v, status %q, warning %q", c.path.engaged, c.status,
							c.warning)
					}
				})
			})
		})
	}
}

// TestDatapathWarningEnds: another setting ends the warning about datapath=fastpath.
func TestDatapathWarningEnds(t *testing.T) {
	for _, wanted := range []string{"auto", "relay"} {
		c := newSelectorRig(errHeld)
		if err := c.start("fastpath", false); err != nil || c.warning == "" {
			t.Fatalf("error %v, warning %q", err, c.warning)
		}
		if err := c.setWanted(wanted); err != nil || c.warning != "" {
			t.Errorf("datapath=%s: error %v, warning %q", wanted, err, c.warning)
		}
	}
}

// TestLostProgramsTooLate: lost programs are ignored after the setting has changed.
func TestLostProgramsTooLate(t *testing.T) {
	for _, wanted := range []string{"relay", "fastpath"} {
		c := newSelectorRig(nil)
		if err := c.setWanted(wanted); err != nil {
			t.Fatal(err)
		}
		was := c.status
		c.lostPrograms(errHeld)
		if c.status != was {
			t.Errorf("datapath=%s: status %q, was %q", wanted, c.status, was)
		}
	}
}

// TestDatapathSuspended: while the team gives back, no program is attached, even if the hook becomes free.
func TestDatapathSuspended(t *testing.T) {
	c := newSelectorRig(errHeld)
	if err := c.start("auto", true); err != nil {
		t.Fatal(err)
	}
	c.suspend()
	c.path.engageErr = nil
	c.retry()
	c.lostPrograms(errHeld)
	c.retry()
	if c.path.engaged || c.status != heldWhy {
		t.Errorf("suspended: engaged %v, status %q", c.path.engaged, c.status)
	}
	c.resume()
	if !c.path.engaged || c.status != fastWhy {
		t.Errorf("resumed: engaged %v, status %q", c.path.engaged, c.status)
	}
}
