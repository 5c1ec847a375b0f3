// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// brittle is a mode that panics where die says so, before or after it has done what it was asked for.
type brittle struct {
	modes.Mode
	die func(ev modes.Event, done bool)
}

func (b *brittle) Handle(now time.Time, ev modes.Event) modes.Effects {
	b.die(ev, false)
	eff := b.Mode.Handle(now, ev)
	b.die(ev, true)
	return eff
}

// brittleTeam is a team on k whose mode is brittle.
func brittleTeam(t *testing.T, k *kernel, c settings.Config, die func(ev modes.Event, done bool)) *Team {
	t.Helper()
	return running(t, k, Options{Config: c, NewMode: func(s modes.Settings) (modes.Mode, error) {
		m, err := modes.New(s)
		return &brittle{m, die}, err
	}}, 1, 2)
}

// inForce is the Plan in force.
func (k *kernel) inForce() *spread.Plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.plan
}

func caught(t *testing.T, tm *Team, where string, count uint64) api.Panic {
	t.Helper()
	s := tm.Status()
	if len(s.Panics) != 1 || s.Panics[0].Where != where || s.Panics[0].Count != count || s.Panics[0].Stack == "" {
		t.Fatalf("kept %+v, want %d of the %s", s.Panics, count, where)
	}
	if !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, s.Panics[0].Value) }) {
		t.Errorf("warnings %q", s.Warnings)
	}
	if n := count; n != uint64(len(slices.DeleteFunc(tm.Events(time.Time{}), func(e api.Event) bool {
		return e.Event != "panic"
	}))) {
		t.Errorf("events %v", names(tm.Events(time.Time{})))
	}
	return s.Panics[0]
}

// In every mode, whatever the mode was doing when it died, the team works on: the Plan in force stays until there is a
// better one, the same member is active, and the next failover is as fast as any.
func TestPanicOfTheModeCostsTheInput(t *testing.T) {
	for _, kind := range []modes.Kind{modes.ActiveBackup, modes.ELB, modes.RoundRobin, modes.XOR, modes.Broadcast} {
		for _, done := range []bool{false, true} {
			t.Run(kind.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					k, armed := newKernel(), new(atomic.Bool)
					c := activeBackup()
					c.Mode = kind
					tm := brittleTeam(t, k, c, func(ev modes.Event, after bool) {
						if _, is := ev.(modes.Received); is && after == done && armed.CompareAndSwap(true, false) {
							panic("a frame like no other")
						}
					})
					time.Sleep(time.Second)
					// Not the one that a team without a past would choose.
					for _, up := range []bool{false, true} {
						k.cable(1, up)
						k.changes <- struct{}{}
						time.Sleep(time.Second)
					}
					k.taken()
					before, active, log := k.inForce(), tm.Status().Active, len(tm.Events(time.Time{}))
					armed.Store(true)
					k.control <- Control{Kind: ControlFrame, Member: 0, Frame: make([]byte, 60)}
					// the next one is there already
					k.control <- Control{Kind: ControlFrame, Member: -1, Frame: frame.RARP(0x0200_0000_1000, 0)}
					time.Sleep(time.Second)
					if armed.Load() {
						t.Fatal("no panic")
					}
					if p := caught(t, tm, panicFrames, 1); !strings.HasPrefix(p.Input, "frame of member 0: 0000") ||
						p.Value != "a frame like no other" {
						t.Errorf("kept %+v", p)
					}
					after := k.inForce()
					if after.Distributing != before.Distributing || after.Collecting != before.Collecting ||
						after.Multicast != before.Multicast {
						t.Errorf("the Plan was %+v and is %+v", before, after)
					}
					if s := tm.Status(); s.State != "up" || s.Active != active {
						t.Errorf("state %s, active %s, was %s; %v", s.State, s.Active,
							active, names(tm.Events(time.Time{})[log:]))
					}
					for _, call := range k.taken() {
						if call == "plan 0" {
							t.Error("nobody was to send for a moment")
						}
					}
					k.cable(2, false)
					k.changes <- struct{}{}
					time.Sleep(2 * time.Millisecond)
					if got := k.inForce().Distributing; got != 0b01 {
						t.Errorf("after the failover %b send", got)
					}
				})
			})
		}
	}
}

// The mode dies while it follows the loss of the active member, with its new Plan made and not handed out.
func TestPanicDuringAFailoverDelaysItByNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k, armed := newKernel(), new(atomic.Bool)
		tm := brittleTeam(t, k, activeBackup(), func(ev modes.Event, done bool) {
			if _, is := ev.(modes.State); is && done && armed.CompareAndSwap(true, false) {
				panic("half-way")
			}
		})
		armed.Store(true)
		k.cable(1, false)
		k.changes <- struct{}{}
		time.Sleep(2 * time.Millisecond)
		caught(t, tm, panicLoop, 1)
		if s := tm.Status(); s.Active != "eth2" || k.inForce().Distributing != 0b10 {
			t.Errorf("active %s, plan %b", s.Active, k.inForce().Distributing)
		}
		if got := names(tm.Events(time.Time{})); !slices.Contains(got, "member-down eth1") {
			t.Errorf("what had happened before the panic is not told: %v", got)
		}
	})
}

// brittleKernel panics once in each call that is armed.
type brittleKernel struct {
	*kernel
	armed map[string]int
}

func (k *brittleKernel) die(call string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.armed[call] > 0 {
		k.armed[call]--
		panic("in " + call)
	}
}

func (k *brittleKernel) arm(call string, n int) {
	k.do(func() { k.armed[call] = n })
}

func (k *brittleKernel) Apply(p *spread.Plan) error              { k.die("apply"); return k.kernel.Apply(p) }
func (k *brittleKernel) SetCarrier(up bool) error                { k.die("carrier"); return k.kernel.SetCarrier(up) }
func (k *brittleKernel) Counters(c *Counters)                    { k.die("counters"); k.kernel.Counters(c) }
func (k *brittleKernel) Moved(m *Moved)                          { k.die("moved"); k.kernel.Moved(m) }
func (k *brittleKernel) RxBytes(h *spread.RxBytes)               { k.die("heard"); k.kernel.RxBytes(h) }
func (k *brittleKernel) Carrier(index int) bool                  { k.die("read"); return k.kernel.Carrier(index) }
func (k *brittleKernel) AskNeighbours(ctx context.Context) error { return nil }
func (k *brittleKernel) Remember(*lacp.Memory)                   { k.die("remember") }
func (k *brittleKernel) Send(id int, frame []byte) error {
	k.die("send")
	return k.kernel.Send(id, frame)
}

func (k *brittleKernel) Announcement(context.Context) (Announcement, error) {
	k.die("announcement")
	return Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}, nil
}

// Each goroutine that feeds the control loop, or does what it wants done, survives a panic and does its work next time.
func TestPanicOfAGoroutineCostsOneTurn(t *testing.T) {
	for _, tt := range []struct {
		call, where string
		kind        modes.Kind
		cause       func(t *testing.T, tm *Team, k *brittleKernel)
		works       func(tm *Team, k *brittleKernel) bool
	}{
		{"apply", panicLoop, modes.ActiveBackup, func(_ *testing.T, _ *Team, k *brittleKernel) { k.cable(1, false) },
			func(_ *Team, k *brittleKernel) bool { return k.inForce().Distributing == 0b10 }},
		{"carrier", panicCarrier, modes.ActiveBackup, func(_ *testing.T, _ *Team, k *brittleKernel) {
			k.cable(1, false)
			k.cable(2, false)
		},
			func(tm *Team, _ *brittleKernel) bool { return !tm.Status().Adapter.Carrier }},
		{"counters", panicCounters, modes.ActiveBackup, func(_ *testing.T, _ *Team, k *brittleKernel) {
			k.do(func() { k.counters.Members[0].RX[0].Frames, k.moved[0].RX = 1000, 1000 })
		},
			func(tm *Team, _ *brittleKernel) bool {
				h, err := tm.History(api.HistoryQuery{From: time.Now().Add(-5 * time.Second), To: time.Now(),
					Step: time.Second})
				return err == nil && len(h.Members) > 0
			}},
		{"heard", panicMeasuring, modes.ELB, func(_ *testing.T, _ *Team, k *brittleKernel) {
			k.do(func() { k.counters.Members[0].RX[0].Frames, k.moved[0].RX = 1000, 1000 })
		},
			func(_ *Team, k *brittleKernel) bool { return slices.Contains(k.taken(), "flows") }},
		{"moved", panicSampling, modes.ActiveBackup, func(_ *testing.T, _ *Team, k *brittleKernel) {
			k.do(func() { k.moved[0].TX = 1000 })
		},
			func(_ *Team, k *brittleKernel) bool {
				k.mu.Lock()
				defer k.mu.Unlock()
				return k.resent > 0
			}},
		{"read", "carrier watch", modes.ActiveBackup, func(_ *testing.T, _ *Team, k *brittleKernel) {
			k.cable(1, false)
		},
			func(tm *Team, _ *brittleKernel) bool { return tm.Status().Active == "eth2" }},
		{"announcement", panicAnnouncer, modes.ActiveBackup, func(t *testing.T, tm *Team, _ *brittleKernel) {
			for range 2 {
				if err := tm.Announce(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}, func(_ *Team, k *brittleKernel) bool { return slices.Contains(k.taken(), "send 0") }},
		{"remember", panicMemory, modes.LACP, func(*testing.T, *Team, *brittleKernel) {},
			func(*Team, *brittleKernel) bool { return true }},
	} {
		t.Run(tt.where, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := &brittleKernel{kernel: newKernel(), armed: map[string]int{}}
				c := activeBackup()
				c.Mode = tt.kind
				if tt.call == "moved" {
					c.LinkWatch = []string{"gateway"} // without a target
				}
				if tt.call == "remember" {
					k.arm(tt.call, 1)
				}
				tm := runningOn(t, k, Options{Config: c, AddressSource: k, Remember: k.Remember,
					Retransmits: k.retransmits}, 1, 2)
				time.Sleep(5 * time.Second)
				k.taken()
				if tt.call != "remember" {
					k.arm(tt.call, 1)
				}
				tt.cause(t, tm, k)
				time.Sleep(3 * time.Second)
				if !tt.works(tm, k) {
					t.Errorf("it does not work any more: %+v", tm.Status())
				}
				caught(t, tm, tt.where, 1)
			})
		})
	}
}

// Three panics of one kind end the process, two do not.
func TestThreePanicsOfTheLoopAreTooMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := &brittleKernel{kernel: newKernel(), armed: map[string]int{}}
		keeper := panics.New(nil)
		runningOn(t, k, Options{Panics: keeper}, 1, 2)
		fatal := func() error {
			select {
			case err := <-keeper.Fatal():
				return err
			default:
				return nil
			}
		}
		k.arm("apply", 2)
		k.cable(1, false)
		time.Sleep(time.Second)
		if err := fatal(); err != nil {
			t.Errorf("after two: %v", err)
		}
		k.arm("apply", 1)
		k.cable(1, true)
		k.cable(2, false)
		time.Sleep(time.Second)
		if err := fatal(); err == nil || !strings.Contains(err.Error(), "in apply") {
			t.Errorf("after three: %v", err)
		}
		// Until the process ends it goes on, and does not spin.
		k.arm("apply", 1000)
		k.cable(1, false)
		time.Sleep(10 * time.Second)
		if list := keeper.List(); len(list) != 1 || list[0].Count > 50 {
			t.Errorf("kept %+v", list)
		}
	})
}

// The caller of the input that panicked gets an error.
func TestPanicAnswersWhoAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := &brittleKernel{kernel: newKernel(), armed: map[string]int{}}
		tm := runningOn(t, k, Options{}, 1, 2)
		k.arm("apply", 1)
		c := tm.Config()
		c.Active = "eth2"
		err := tm.Set(t.Context(), c)
		p, is := err.(*api.Problem)
		if !is || p.Kind != api.Failed || !strings.Contains(p.Why, "in apply") || p.What == "" || p.Fix == "" {
			t.Errorf("answered %+v", err)
		}
	})
}

// A partner notices nothing of the replaced mode.
func TestPanicInAggregationIsNotNoticedByThePartner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := &brittleKernel{kernel: newKernel(), armed: map[string]int{}}
		c := activeBackup()
		c.Mode = modes.LACP
		began := 0
		tm := runningOn(t, k, Options{Config: c, NewMode: func(s modes.Settings) (modes.Mode, error) {
			began++
			return modes.New(s)
		}}, 1, 2)
		conf := lacp.Config{System: lacp.SystemID{Priority: 1, MAC: 0x0200_0000_00bb}, Fast: true}
		far := lacp.New(conf, nil)
		out := far.Configure(time.Now(), conf, []lacp.PortConfig{
			{ID: 0, Name: "p1", MAC: 0x0200_0000_0b01, Number: 1, Priority: 255, Up: true, SpeedBps: 1e9},
			{ID: 1, Name: "p2", MAC: 0x0200_0000_0b02, Number: 2, Priority: 255, Up: true, SpeedBps: 1e9}})
		seen := [2]int{}
		var notes []lacp.Note
		step := func() {
			for len(out.Send)+len(out.Notes) > 0 {
				notes = append(notes, out.Notes...)
				for _, s := range out.Send {
					k.control <- Control{Kind: ControlFrame, Member: s.Port, Frame: s.Frame}
					synctest.Wait()
				}
				out = lacp.Out{}
			}
			if d := far.Deadline(); !d.IsZero() && !time.Now().Before(d) {
				out = far.Tick(time.Now())
			}
			for id := range seen {
				k.mu.Lock()
				frames := k.sent[id][seen[id]:]
				seen[id] += len(frames)
				k.mu.Unlock()
				for _, b := range frames {
					o := far.Receive(time.Now(), id, b)
					out.Send, out.Notes = append(out.Send, o.Send...), append(out.Notes, o.Notes...)
				}
			}
		}
		run := func(d time.Duration, each func()) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				step()
				time.Sleep(time.Millisecond)
				synctest.Wait()
				each()
			}
		}
		run(5*time.Second, func() {})
		if s := tm.Status(); s.State != "up" || k.inForce().Distributing != 0b11 {
			t.Fatalf("no agreement: %s %s", s.State, s.Reason)
		}
		notes = nil
		k.arm("send", 1) // of the next LACPDU
		run(10*time.Second, func() {
			if got := k.inForce(); got.Distributing != 0b11 || got.Collecting != 0b11 {
				t.Fatalf("the Plan has %b, %b", got.Distributing, got.Collecting)
			}
			for _, p := range far.Status().Ports {
				if !p.Distributing() {
					t.Fatalf("the partner: %s", p.Why)
				}
			}
		})
		if began != 2 || len(notes) > 0 {
			t.Errorf("%d modes, the partner notes %v", began, notes)
		}
		caught(t, tm, panicLoop, 1)
	})
}
