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

// fakePath is engaged when it is told to be, unless something is in the way.
type fakePath struct {
	wrong   error
	engaged bool
	tries   int
	looks   int // whether others hold a hook
	lost    chan error
}

func (e *fakePath) Engage() error {
	if !e.engaged {
		e.tries++
		e.engaged = e.wrong == nil
	}
	return e.wrong
}

func (e *fakePath) Disengage() error   { e.engaged = false; return nil }
func (e *fakePath) Engaged() bool      { return e.engaged }
func (e *fakePath) Lost() <-chan error { return e.lost }

// chooser is a choice and what it has told.
type chooser struct {
	*datapathSelector
	engine  *fakePath
	status  string
	warning string
	long    bool // the kernel's queues
}

func newChooser(wrong error) *chooser {
	e := &fakePath{wrong: wrong, lost: make(chan error, 1)}
	c := &chooser{engine: e}
	c.datapathSelector = &datapathSelector{path: e, log: slog.New(slog.DiscardHandler),
		hooksHeld: func() error {
			if e.looks++; errors.As(e.wrong, new(*tchook.HookHeld)) {
				return e.wrong
			}
			return nil
		},
		setBacklog: func(fast bool) error { c.long = fast; return errors.New("read-only file system") },
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
)

// TestBegin: what a team begins with. Only who makes a team now and waits is told that the programs cannot be had.
func TestBegin(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wish    string
		insist  bool
		wrong   error
		status  string
		warning string
		err     error
	}{
		{name: "auto", wish: "auto", insist: true, status: fastWhy},
		{name: "fastpath", wish: "fastpath", insist: true, status: fastWhy},
		{name: "relay", wish: "relay", status: "relay: set by datapath=relay"},
		{name: "auto, held", wish: "auto", insist: true, wrong: errHeld, status: heldWhy},
		{name: "auto, refused", wish: "auto", insist: true, wrong: errVerdict, status: noWhy},
		{name: "fastpath, held", wish: "fastpath", insist: true, wrong: errHeld, err: errHeld},
		{name: "fastpath, held, at a start again", wish: "fastpath", wrong: errHeld, status: heldWhy,
			warning: `datapath=fastpath is not possible, the relay moves the frames: ingress of eth1 is held by tcx program "x" (id 12)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newChooser(tt.wrong)
			if err := c.start(tt.wish, tt.insist); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if c.status != tt.status || c.warning != tt.warning {
				t.Errorf("status %q, warning %q; want %q, %q", c.status, c.warning, tt.status, tt.warning)
			}
			if got, want := c.engine.engaged, tt.status == fastWhy; got != want {
				t.Errorf("engaged %v, want %v", got, want)
			}
			if c.long != c.engine.engaged {
				t.Errorf("long queues: %v, engaged %v", c.long, c.engine.engaged)
			}
		})
	}
}

// TestInterruptedWhileChoosing: a start that is ended while programs are loaded has not come to its end.
func TestInterruptedWhileChoosing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, wish := range []string{"auto", "relay"} {
		s := &session{datapath: newChooser(nil).datapathSelector}
		u := &startup{session: s, config: settings.Config{Team: "team0", Datapath: wish}, strict: true,
			rep: &launch.Reporter{Log: slog.New(slog.DiscardHandler)}}
		if err := u.startDatapath(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", wish, err)
		}
	}
}

// TestSetDatapath: wishes while the team runs; one that cannot be met changes nothing.
func TestSetDatapath(t *testing.T) {
	c := newChooser(nil)
	type step struct {
		wish    string
		wrong   error
		refused bool
		status  string
	}
	for _, s := range []step{
		{wish: "relay", status: "relay: set by datapath=relay"},
		{wish: "fastpath", wrong: errHeld, refused: true, status: "relay: set by datapath=relay"},
		{wish: "auto", wrong: errHeld, status: heldWhy},
		{wish: "fastpath", wrong: errHeld, refused: true, status: heldWhy},
		{wish: "fastpath", status: fastWhy},
		{wish: "auto", status: fastWhy},
		{wish: "relay", wrong: errHeld, status: "relay: set by datapath=relay"},
	} {
		c.engine.wrong = s.wrong
		was := c.wanted
		err := c.setWanted(s.wish)
		if (err != nil) != s.refused || c.status != s.status || c.warning != "" {
			t.Errorf("datapath=%s: error %v, status %q, warning %q; want %q", s.wish, err, c.status, c.warning,
				s.status)
		}
		if want := s.wish; c.wanted != want && !s.refused || s.refused && c.wanted != was {
			t.Errorf("datapath=%s: wished is %q", s.wish, c.wanted)
		}
		if c.engine.engaged != strings.HasPrefix(c.status, "fastpath") || c.long != c.engine.engaged {
			t.Errorf("datapath=%s: engaged %v, status %q, long queues %v", s.wish, c.engine.engaged, c.status, c.long)
		}
	}
}

// TestLostAndFound: a path that goes back to the relay by itself is told at once; while there is hope it is tried again
// every 30 s, and not while there is none.
func TestLostAndFound(t *testing.T) {
	for _, tt := range []struct {
		wish, warning string
		wrong         error // when it is tried again
		looks, tries  int   // in two minutes
	}{
		{wish: "auto", wrong: errHeld, looks: 4},
		{wish: "auto", wrong: errVerdict, looks: 1, tries: 1},
		{wish: "fastpath", warning: "datapath=fastpath is not possible, the relay moves the frames: ingress of eth1 " +
			"is held by tcx program \"x\" (id 12)", wrong: errHeld, looks: 4},
	} {
		t.Run(tt.wish+" "+tt.wrong.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChooser(nil)
				if err := c.start(tt.wish, true); err != nil {
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
				after(0, func() { c.engine.engaged, c.engine.wrong, c.engine.tries = false, tt.wrong, 0 })
				c.engine.lost <- errHeld
				after(0, func() {
					if c.status != heldWhy || c.warning != tt.warning {
						t.Errorf("status %q, warning %q", c.status, c.warning)
					}
				})
				after(4*retryInterval, func() {
					if c.engine.looks != tt.looks || c.engine.tries != tt.tries {
						t.Errorf("looked %d times and tried %d times, want %d and %d", c.engine.looks, c.engine.tries,
							tt.looks, tt.tries)
					}
					c.engine.wrong = nil
				})
				after(retryInterval, func() {
					if want := tt.looks > 1; c.engine.engaged != want || (c.status == fastWhy) != want || want &&
						c.warning != "" {
						t.Errorf("nothing in the way: engaged %v, status %q, warning %q", c.engine.engaged, c.status,
							c.warning)
					}
				})
			})
		})
	}
}

// TestWishEndsWarning: who takes the wish back for what cannot be had is warned no more.
func TestWishEndsWarning(t *testing.T) {
	for _, wish := range []string{"auto", "relay"} {
		c := newChooser(errHeld)
		if err := c.start("fastpath", false); err != nil || c.warning == "" {
			t.Fatalf("error %v, warning %q", err, c.warning)
		}
		if err := c.setWanted(wish); err != nil || c.warning != "" {
			t.Errorf("datapath=%s: error %v, warning %q", wish, err, c.warning)
		}
	}
}

// TestLostLate: news that a wish has overtaken means nothing.
func TestLostLate(t *testing.T) {
	for _, wish := range []string{"relay", "fastpath"} {
		c := newChooser(nil)
		if err := c.setWanted(wish); err != nil {
			t.Fatal(err)
		}
		was := c.status
		c.lostPrograms(errHeld)
		if c.status != was {
			t.Errorf("datapath=%s: status %q, was %q", wish, c.status, was)
		}
	}
}

// TestSuspended: while everything is given back no program comes between, even if what was in its way goes.
func TestSuspended(t *testing.T) {
	c := newChooser(errHeld)
	if err := c.start("auto", true); err != nil {
		t.Fatal(err)
	}
	c.suspend()
	c.engine.wrong = nil
	c.retry()
	c.lostPrograms(errHeld)
	c.retry()
	if c.engine.engaged || c.status != heldWhy {
		t.Errorf("suspended: engaged %v, status %q", c.engine.engaged, c.status)
	}
	c.resume()
	if !c.engine.engaged || c.status != fastWhy {
		t.Errorf("resumed: engaged %v, status %q", c.engine.engaged, c.status)
	}
}
