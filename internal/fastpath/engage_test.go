// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

var errHook = errors.New("this hook is refused")

// hooksOf counts what is attached and refuses the hook with number fails, from 1 on.
type hooksOf struct {
	*rig
	fails, tries int
	attached     atomic.Int32
}

func (h *hooksOf) Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	h.tries++
	if h.tries == h.fails {
		return nil, errHook
	}
	c, err := h.rig.Attach(index, hook, p)
	if err != nil {
		return nil, err
	}
	h.attached.Add(1)
	return &hooked{Closer: c, hooks: h}, nil
}

func (h *hooksOf) AttachIsolating(index int, p *ebpf.Program) (io.Closer, error) {
	return h.Attach(index, ebpf.AttachTCXIngress, p)
}

type hooked struct {
	io.Closer
	hooks *hooksOf
}

func (h *hooked) Close() error {
	h.hooks.attached.Add(-1)
	return h.Closer.Close()
}

// flows reports whether frames still flow in both directions.
func (g *rig) flow(streams ...*lab.Running) {
	g.Helper()
	for _, s := range streams {
		want := s.Received() + 200
		labtest.Eventually(g, "frames", func() bool { return s.Received() >= want })
	}
}

func (g *rig) streams(rate int) (out, in *lab.Running) {
	g.Helper()
	return labtest.Start(g, lab.Stream{From: g.host, To: g.peer, Address: peerAddress, Rate: rate}),
		labtest.Start(g, lab.Stream{From: g.peer, To: g.host, Address: hostAddress, Rate: rate})
}

// Whichever hook is refused, the relay goes on as if nothing had been tried, and the next time it works.
func TestRefusedHooks(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.elb()))
	out, in := g.streams(5000)
	for n := 1; n <= 3; n++ {
		h := &hooksOf{rig: g, fails: n}
		g.path.o.Hooks = h
		for range 2 {
			if err := g.path.Engage(); h.tries <= 3 && !errors.Is(err, errHook) {
				t.Fatalf("hook %d: %v", n, err)
			}
			if g.path.Engaged() != (h.tries > 3) {
				t.Fatalf("hook %d: engaged %v", n, g.path.Engaged())
			}
			if got := h.attached.Load(); h.tries <= 3 && got != 0 {
				t.Errorf("hook %d: %d programs left", n, got)
			}
			g.flow(out, in)
		}
		labtest.Must(t, g.path.Disengage())
		labtest.Must(t, g.path.Disengage())
		if got := h.attached.Load(); got != 0 {
			t.Errorf("%d programs left", got)
		}
	}
	for _, s := range []*lab.Running{out, in} {
		rep, err := s.Stop()
		labtest.Must(t, err)
		if rep.Duplicated > 0 {
			t.Errorf("%v", rep)
		}
	}
}

// A team one of whose NICs is gone has the fast path by the others.
func TestEngageWithoutOneNIC(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSlots)))
	l, err := g.host.Handle().LinkByName("m1")
	labtest.Must(t, err)
	labtest.Must(t, g.host.Handle().LinkDel(l))
	pl := g.plan(spread.RuleSingle)
	pl.Distributing, pl.Collecting = 1, 1
	labtest.Must(t, g.path.Apply(pl))
	labtest.Eventually(t, "the end of who received by it", func() bool {
		return g.path.relay.SetSocketFilter(1, -1) == nil && suspects(g.path, 1)
	})
	labtest.Must(t, g.path.Engage())
	out, in := g.streams(2000)
	g.flow(out, in)
	if n := g.totals().Members[0]; n.TX[frame.UDP].Frames == 0 || n.RX[frame.UDP].Frames == 0 {
		t.Errorf("counted %+v", n)
	}
	var slow team.Counters
	g.path.relay.Counters(&slow)
	if n := slow.Members[0].TX[frame.UDP].Frames; n > 0 {
		t.Errorf("the relay has moved %d frames", n)
	}
	// It comes back, as another NIC.
	br, err := g.peer.Handle().LinkByName("br0")
	labtest.Must(t, err)
	g.addLink(1, br)
	labtest.Must(t, g.path.Leave(1))
	labtest.Must(t, g.host.Do(func() error { return g.path.Join(1, g.links[len(g.links)-1]) }))
	if !g.path.Engaged() {
		t.Errorf("it went back to the relay: %v", <-g.path.Lost())
	}
	pl = g.plan(spread.RuleSingle)
	pl.Active, pl.Distributing, pl.Collecting, pl.Multicast = 1, 2, 2, 2
	labtest.Must(t, g.path.Apply(pl))
	g.flow(out, in)
	if n := g.totals().Members[1]; n.TX[frame.UDP].Frames < 100 || n.RX[frame.UDP].Frames < 100 {
		t.Errorf("counted %+v", n)
	}
}

// suspects waits for news that a member is suspected.
func suspects(p *Path, id int) bool {
	for {
		select {
		case c := <-p.Control():
			if (c.Kind == team.ControlSuspect || c.Kind == team.ControlLost) && c.Member == id {
				return true
			}
		default:
			return false
		}
	}
}

// The first member joins a team that is engaged: it is measured as any other.
func TestFirstMemberJoins(t *testing.T) {
	g := newRig(t, 0)
	labtest.Must(t, g.path.Engage())
	br, err := g.peer.Handle().LinkByName("br0")
	labtest.Must(t, err)
	for id := range 2 {
		g.addLink(id, br.(*netlink.Bridge))
		labtest.Must(t, g.host.Shape(fmt.Sprintf("m%d", id), 50e6))
		labtest.Must(t, g.host.Do(func() error { return g.path.Join(id, g.links[id]) }))
	}
	labtest.Must(t, g.path.Apply(g.elb()))
	load, err := lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 8}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { load.Stop() })
	f := new(spread.FlowTable)
	labtest.Eventually(t, "measured capacities", func() bool {
		return g.path.Flows(f) && f.Members[0].Capacity > 0 && f.Members[1].Capacity > 0
	})
}

// A Plan that the programs do not take is the relay's to follow: none is half in force.
func TestPlanThatTheProgramsRefuse(t *testing.T) {
	g := newRig(t, 2)
	pl := g.plan(spread.RuleSingle)
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	out, in := g.streams(2000)
	g.flow(out, in)
	labtest.Must(t, g.path.kernel.Addresses.Close())
	other := g.plan(spread.RuleSingle)
	other.Active, other.Filter[0] = 1, nil
	other.Multicast, other.Collecting, other.Distributing = 2, 2, 2
	labtest.Must(t, g.path.Apply(other))
	began := g.totals().Members[0].TX[frame.UDP].Frames
	g.flow(out, in)
	// What was on its way to the relay just then may still have gone by the other one.
	if n := g.totals().Members[0].TX[frame.UDP].Frames - began; n > 20 {
		t.Errorf("%d frames have left by the Plan before", n)
	}
	labtest.Eventually(t, "the relay alone", func() bool { return !g.path.Engaged() })
	select {
	case err := <-g.path.Lost():
		t.Logf("lost: %v", err)
	default:
		t.Error("no report")
	}
	labtest.Must(t, g.path.Engage())
	g.flow(out, in)
}

// A NIC, or the adapter, that goes down and comes back moves frames as before, and the relay none of them.
func TestDownAndUp(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	labtest.Must(t, g.path.Engage())
	out, in := g.streams(2000)
	for _, name := range []string{"m0", "team0"} {
		g.flow(out, in)
		labtest.Must(t, g.host.Down(name))
		labtest.Must(t, g.host.Up(name))
	}
	g.flow(out, in)
	var slow team.Counters
	g.path.relay.Counters(&slow)
	if m := &slow.Members[0]; m.TX[frame.UDP].Frames+m.RX[frame.UDP].Frames > 0 {
		t.Errorf("the relay has moved %d and %d frames", m.TX[frame.UDP].Frames, m.RX[frame.UDP].Frames)
	}
}

// Programs leave a member that has died before the relay's goroutine, which has something else to do, is through with
// it.
func TestFailoverWaitsForNoGoroutine(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.elb()))
	labtest.Must(t, g.path.Engage())
	begun, wait := make(chan struct{}), make(chan struct{})
	busy := make(chan error, 1)
	go func() { busy <- g.path.relay.DoWithPicker(func(*spread.Picker, int64) { close(begun); <-wait }) }()
	<-begun
	applied := make(chan error, 1)
	pl := g.elb()
	pl.Distributing = 2
	go func() { applied <- g.path.Apply(pl) }()
	select {
	case err := <-applied:
		labtest.Check(t, err)
	case <-time.After(labtest.Patience):
		t.Error("it waits")
	}
	close(wait)
	labtest.Must(t, <-busy)
}
