// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/descriptors"
	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/internal/rtnl"
	"nicteam/internal/tap"
	"nicteam/internal/tchook"
	"nicteam/modes/spread"
	"nicteam/team"
)

// lives is a rig whose processes follow one another.
type lives struct {
	*rig
	store  *descriptorstest.Store
	hooks  *tchook.Hooks
	method tchook.Method // of attaching; "": the best

	isolated bool // members are
	twoLinks bool // by a link beside that of the program that receives
	clsact   journal
	conns    []*rtnl.Conn
	mu       sync.Mutex // of hooks
}

// journal implements tchook.Journal for all NICs of a rig.
type journal struct{ recorded map[int]tchook.Recorded }

type nicJournal struct {
	journal
	index int
}

func (j nicJournal) Recorded() tchook.Recorded           { return j.recorded[j.index] }
func (j nicJournal) Isolating(tchook.Method, bool) error { return nil }
func (j nicJournal) Unisolated() error                   { return nil }
func (j nicJournal) Attaching(hook string, clsact bool) error {
	j.recorded[j.index] = tchook.Recorded{Clsact: clsact || j.recorded[j.index].Clsact, Hooks: []string{hook}}
	return nil
}
func (j nicJournal) Detached(string) error {
	delete(j.recorded, j.index)
	return nil
}

// tcHooks is the Attacher of a process, as package host is.
type tcHooks struct{ *lives }

func (h tcHooks) Attach(index int, at ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	return h.attach(index, at, tchook.Program{Program: p})
}

func (h tcHooks) AttachIsolating(index int, p *ebpf.Program) (io.Closer, error) {
	return h.attach(index, ebpf.AttachTCXIngress, tchook.Program{Program: p, Isolates: !h.twoLinks})
}

func (h tcHooks) attach(index int, at ebpf.AttachType, p tchook.Program) (c io.Closer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.host.Do(func() error {
		l, j := tchook.Link{Name: fmt.Sprint(index), Index: index}, nicJournal{h.clsact, index}
		a, err := h.hooks.Attach(l, at, p, j)
		c = detacher(func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			_, gone := h.host.Handle().LinkByIndex(index)
			return h.hooks.Detach(a, l, gone != nil, j)
		})
		return err
	})
	return c, err
}

type detacher func() error

func (d detacher) Close() error { return d() }

func (h tcHooks) Inherited(index int, at ebpf.AttachType) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hooks.Inherited(index, at)
}

func (h tcHooks) DetachInherited(index int, at ebpf.AttachType) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hooks.DetachInherited(tchook.Link{Index: index}, at,
		func() (tchook.Journal, error) { return nicJournal{h.clsact, index}, nil })
}

// newLives returns a rig whose first process has engaged, with a Plan in force.
func newLives(t *testing.T, members int, method tchook.Method, plan func(g *rig) *spread.Plan, fast bool) *lives {
	t.Helper()
	return newLivesOf(t, members, &lives{method: method}, plan, fast)
}

// newIsolatedLives is newLives whose members are isolated, as package daemon does: by the link of the program that
// receives.
func newIsolatedLives(t *testing.T, members int, plan func(g *rig) *spread.Plan) *lives {
	t.Helper()
	return newLivesOf(t, members, &lives{isolated: true}, plan, true)
}

func newLivesOf(t *testing.T, members int, v *lives, plan func(g *rig) *spread.Plan, fast bool) *lives {
	t.Helper()
	method := v.method
	if method != tchook.ByClsact && labtest.KernelBefore(t, 6, 6) {
		t.Skip("tcx links need Linux 6.6")
	}
	v.rig, v.store, v.clsact = newRig(t, members), descriptorstest.New(t), journal{map[int]tchook.Recorded{}}
	// The rig's own process stores nothing.
	labtest.Must(t, v.path.Close())
	labtest.Must(t, v.adapter.Delete())
	v.openHooks()
	labtest.Must(t, v.host.Do(func() (err error) {
		v.adapter, err = tap.Create(tap.Options{Name: "team0", MAC: adapterMAC, Store: v.store})
		return err
	}))
	t.Cleanup(func() { v.adapter.Delete() })
	labtest.Must(t, v.host.Up("team0"))
	labtest.Must(t, v.adapter.SetCarrier(true))
	labtest.Must(t, v.host.SetAddr("team0", "10.9.0.1/24"))
	r, err := relay.New(relay.Options{Adapter: v.adapter, Store: v.store})
	labtest.Must(t, err)
	v.path = New(v.options(r))
	v.join()
	labtest.Must(t, v.path.Apply(plan(v.rig)))
	if fast {
		labtest.Must(t, v.path.Engage())
	}
	t.Cleanup(func() {
		labtest.Check(t, v.path.Close())
		v.hooks.Close()
		for _, c := range v.conns {
			c.Close()
		}
		if left := v.store.Stored(); !slices.Equal(left, []string{descriptors.Tap}) {
			t.Errorf("left in the store: %v", left)
		}
	})
	return v
}

func (v *lives) options(r *relay.Relay) Options {
	return Options{Relay: r, Adapter: v.adapter, Hooks: tcHooks{v}, Store: v.store, InNamespace: v.host.Do}
}

func (v *lives) openHooks() {
	v.Helper()
	labtest.Must(v, v.host.Do(func() error {
		conn, err := rtnl.Open(slog.New(slog.DiscardHandler), func(string) error { return nil })
		if err == nil {
			v.conns = append(v.conns, conn)
			v.hooks = tchook.New(conn, slog.New(slog.DiscardHandler), tchook.Options{Team: "team0", Store: v.store,
				Method: v.method})
		}
		return err
	}))
}

func (v *lives) join() {
	v.Helper()
	for id := range v.links {
		if v.links[id].Name != "" {
			labtest.Must(v, v.host.Do(func() error { return v.path.Join(id, v.links[id]) }))
			labtest.Must(v, v.isolate(v.links[id]))
		}
	}
}

// isolate isolates a member, if all are.
func (v *lives) isolate(l team.Link) error {
	if !v.isolated {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.host.Do(func() error {
		return v.hooks.Isolate(tchook.Link{Name: l.Name, Index: l.Index},
			func() (tchook.Journal, error) { return nil, errors.ErrUnsupported })
	})
}

// endStart ends the start of a process, as package daemon does when a Plan is in force.
func (v *lives) endStart() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hooks.DropInherited(true)
}

// die ends the process, as far as one can that is this one: it does nothing any more.
func (v *lives) die() {
	v.Helper()
	old := v.path
	old.HandOver()
	old.changing.Lock()
	defer old.changing.Unlock()
	old.backlog.stopPolling()
	labtest.Must(v, old.reports.close())
	v.store.Next()
}

// begin begins the next process, up to the Plan.
func (v *lives) begin() error {
	v.Helper()
	v.openHooks()
	fd, ok := v.store.Take(descriptors.Tap)
	if !ok {
		v.Fatal("no adapter in the store")
	}
	labtest.Must(v, v.host.Do(func() (err error) {
		v.adapter, err = tap.Adopt(fd, tap.Options{Store: v.store})
		return err
	}))
	r, err := relay.New(relay.Options{Adapter: v.adapter, Store: v.store, Hold: true})
	labtest.Must(v, err)
	v.path, err = Adopt(v.options(r))
	v.join()
	return err
}

// settled waits until the programs have all directions.
func (v *lives) settled() {
	v.Helper()
	labtest.Eventually(v, "all directions with the programs", func() bool {
		v.path.changing.Lock()
		defer v.path.changing.Unlock()
		return v.path.reports != nil
	})
}

// plans of all rules.
var plansOfRules = map[string]func(g *rig) *spread.Plan{
	"elb": func(g *rig) *spread.Plan { return g.elb() },
	"active-backup": func(g *rig) *spread.Plan {
		pl := g.plan(spread.RuleSingle)
		pl.Collecting = 1
		return pl
	},
	"xor":         func(g *rig) *spread.Plan { return g.plan(spread.RuleSlots) },
	"round-robin": func(g *rig) *spread.Plan { return g.plan(spread.RuleRoundRobin) },
	"802.3ad":     func(g *rig) *spread.Plan { return g.migrating(1) },
}

// migrating is a Plan of RuleSlots under which all slots of member 1 are on their way to member 0.
func (g *rig) migrating(mark uint32) *spread.Plan {
	pl := g.plan(spread.RuleSlots)
	m := &spread.Migration{ID: 7, Mark: mark, Pause: labtest.Patience, From: pl.Slots.Members}
	pl.Slots = &spread.SlotTable{Members: make([]uint8, spread.SlotCount), Migration: m}
	return pl
}

// The end of a process and the start of the next lose, double and reorder nothing that programs move, whatever the
// rule.
func TestAdopt(t *testing.T) {
	for name, plan := range plansOfRules {
		t.Run(name, func(t *testing.T) {
			// What two members receive is reordered by the peer's bridge, which learns the adapter's address here and
			// there.
			members, method := 2, tchook.Method("")
			if name == "xor" { // as on kernels before 6.6
				method = tchook.ByClsact
			}
			var v *lives
			if method == "" {
				v = newIsolatedLives(t, members, plan)
			} else {
				v = newLives(t, members, method, plan, true)
			}
			out, in := v.streams(4000)
			v.flow(out, in)
			// What the relay moves, and programs pass by the ring, comes once, too, by whichever process.
			arps := v.numberARPs(t, 200)
			for range 2 {
				v.die()
				v.flow(out, in) // while there is no process
				labtest.Must(t, v.begin())
				v.flow(out, in) // by the Plan of before
				labtest.Must(t, v.path.Apply(plan(v.rig)))
				v.endStart()
				v.settled()
				v.flow(out, in)
				arps.flow(t)
			}
			if n := arps.check(t); n > 0 {
				t.Errorf("%d numbered frames have not come", n)
			}
			for id := range members {
				if v.gate(id) != relay.GateAlone || v.listening(id) {
					t.Errorf("member %d: gate %d, its socket listens: %v", id, v.gate(id), v.listening(id))
				}
			}
			var slow team.Counters
			v.path.relay.Counters(&slow)
			for id := range members {
				if n := slow.Members[id].TX[frame.UDP].Frames + slow.Members[id].RX[frame.UDP].Frames; n > 0 {
					t.Errorf("the relay has moved %d frames of member %d", n, id)
				}
			}
			for way, s := range map[string]*lab.Running{"out": out, "in": in} {
				rep, err := s.Stop()
				labtest.Must(t, err)
				t.Logf("%s: %v", way, rep)
				inOrder := name != "round-robin" && way == "out"
				if rep.Lost > 0 || rep.Duplicated > 0 || rep.Corrupt > 0 || inOrder && rep.Reordered > 0 {
					t.Errorf("%s: %v", way, rep)
				}
			}
			if m := v.path.kernel.txState.Migration; name == "802.3ad" && (m.ID != 7 || m.Generation != 1) {
				t.Errorf("migration %d has begun %d times", m.ID, m.Generation)
			}
			if !v.path.Engaged() {
				t.Errorf("it went back to the relay: %v", <-v.path.Lost())
			}
		})
	}
}

// The same with the relay: what comes while there is no process waits.
func TestAdoptRelay(t *testing.T) {
	for _, name := range []string{"elb", "802.3ad"} {
		plan := plansOfRules[name]
		t.Run(name, func(t *testing.T) {
			v := newLives(t, 2, "", plan, false)
			out, in := v.streams(2000)
			v.flow(out, in)
			for range 2 {
				v.die()
				labtest.Must(t, v.begin())
				labtest.Must(t, v.path.Apply(plan(v.rig)))
				v.flow(out, in)
			}
			for way, s := range map[string]*lab.Running{"out": out, "in": in} {
				rep, err := s.Stop()
				labtest.Must(t, err)
				t.Logf("%s: %v", way, rep)
				inOrder := name != "round-robin" && name != "elb" && way == "out"
				if rep.Lost > 0 || rep.Duplicated > 0 || rep.Corrupt > 0 || inOrder && rep.Reordered > 0 {
					t.Errorf("%s: %v", way, rep)
				}
			}
		})
	}
}

// misfits are what a next process may find instead of what the process before left.
var misfits = map[string]struct {
	fast  bool   // the programs go on
	loses string // the direction that loses frames for a moment
	make  func(v *lives)
}{
	"another version": {make: func(v *lives) { v.otherVersion() }},
	"a map is gone": {make: func(v *lives) {
		for _, name := range v.store.Stored() {
			if _, mapName, ok := descriptors.Layout(name); ok && mapName == programMapAddresses {
				labtest.Must(v, v.store.Remove(name))
			}
		}
	}},
	"another version without gates": {loses: "in", make: func(v *lives) {
		v.otherVersion()
		for _, name := range v.store.Stored() {
			if before, found := strings.CutSuffix(name, "."+gatesLayout); found {
				v.store.Rename(name, before+".0")
			}
		}
	}},
	"all maps are gone": {loses: "in", make: func(v *lives) {
		for _, name := range v.store.Stored() {
			if descriptors.IsMap(name) {
				labtest.Must(v, v.store.Remove(name))
			}
		}
	}},
	// What the host sends from there on waits in the adapter's queue, which has an end.
	"the adapter's link is gone": {fast: true, loses: "out", make: func(v *lives) { v.detach(descriptors.Transmit) }},
	// From there on nobody receives until the next process begins.
	"a member's link is gone": {fast: true, loses: "in", make: func(v *lives) {
		v.detach(descriptors.Of(descriptors.Isolation, v.links[0].Index))
	}},
	"two links of an earlier build": {fast: true, make: func(*lives) {}},
	"a member's ring is gone": {fast: true, make: func(v *lives) {
		labtest.Must(v, v.store.Remove(descriptors.Of(descriptors.Ring, v.links[0].Index)))
	}},
	// As if it had died on the way to the ring, or back.
	"a member's socket still listens": {fast: true, make: func(v *lives) {
		labtest.Must(v, v.path.relay.Listen(0))
		atomic.StoreUint32(&v.path.kernel.control.ReceiveGate[0], relay.GateRing)
	}},
	"a member's socket listens again": {fast: true, make: func(v *lives) {
		labtest.Must(v, v.path.relay.Listen(0))
		atomic.StoreUint32(&v.path.kernel.control.ReceiveGate[0], relay.GateSlow)
	}},
	"a member's socket is gone": {fast: true, make: func(v *lives) {
		labtest.Must(v, v.store.Remove(descriptors.Of(descriptors.Socket, v.links[0].Index)))
	}},
	"a member has another id": {fast: true, make: func(v *lives) {
		v.links = []team.Link{{}, v.links[0]}
	}},
}

// otherVersion makes all maps those of another version.
func (v *lives) otherVersion() {
	for _, name := range v.store.Stored() {
		if layout, mapName, ok := descriptors.Layout(name); ok {
			v.store.Rename(name, descriptors.Map(strings.Repeat("0", len(layout)), mapName))
		}
	}
}

// detach detaches a program for good, and leaves its link in the store.
func (v *lives) detach(name string) {
	v.Helper()
	probe := v.store.Stored()
	if !slices.Contains(probe, name) {
		v.Fatalf("%s is not stored: %v", name, probe)
	}
	v.store.Next()
	fd, _ := v.store.Take(name)
	l, err := link.NewFromFD(fd)
	labtest.Must(v, err)
	labtest.Must(v, l.Detach())
	labtest.Must(v, l.Close())
}

// dropped returns how many frames of each direction found a shut gate or no room, which is counted.
func (v *lives) dropped() map[string]uint64 {
	var c team.Counters
	v.path.Counters(&c)
	n := map[string]uint64{"out": c.Adapter.TXDrop[team.DropBacklog]}
	for id := range c.Members {
		n["in"] += c.Members[id].RXDrop[team.DropSocket]
	}
	return n
}

// Whatever does not fit, frames flow in both directions, none twice, and those that nobody had to lose arrive, but for
// what a handover loses on a busy machine and counts.
func TestAdoptMisfits(t *testing.T) {
	for name, tt := range misfits {
		t.Run(name, func(t *testing.T) {
			single := func(g *rig) *spread.Plan { return g.plan(spread.RuleSingle) }
			v := &lives{isolated: true, twoLinks: name == "two links of an earlier build"}
			newLivesOf(t, 1, v, single, true)
			out, in := v.streams(4000)
			v.flow(out, in)
			v.die()
			v.twoLinks = false
			tt.make(v)
			v.store.Next()
			err := v.begin()
			t.Logf("adopt: %v", err)
			if (err == nil) != tt.fast {
				t.Errorf("adopt: %v", err)
			}
			pl := v.plan(spread.RuleSingle)
			if n := len(v.links); n > 1 {
				pl.Active, pl.Distributing, pl.Collecting, pl.Multicast = 1, 2, 2, 2
				pl.MACs, pl.Filter[1] = [spread.MaxMembers]frame.MAC{1: memberMAC(0)}, pl.Filter[0]
				pl.TeamMACs = []frame.MAC{adapterMAC, memberMAC(0)}
			}
			labtest.Must(t, v.path.Apply(pl))
			v.endStart()
			v.flow(out, in)
			labtest.Must(t, v.path.Engage())
			v.settled()
			v.flow(out, in)
			if !v.path.Engaged() {
				t.Errorf("the relay moves: %v", <-v.path.Lost())
			}
			k := v.path.kernel
			for id, l := range v.path.links {
				if l != nil && atomic.LoadUint32(&k.control.ReceiveGate[id]) != relay.GateAlone {
					t.Errorf("member %d is not received by the programs alone", id)
				}
			}
			if atomic.LoadUint32(&k.control.TransmitGate) != relay.GateFast {
				t.Error("the programs do not transmit")
			}
			for way, s := range map[string]*lab.Running{"out": out, "in": in} {
				rep, err := s.Stop()
				labtest.Must(t, err)
				t.Logf("%s: %v", way, rep)
				// A direction that is handed to the programs may lose some: relay/gate.go, point 5.
				dropped := v.dropped()[way]
				if rep.Duplicated > 0 || rep.Corrupt > 0 || rep.Reordered > 0 || rep.Lost > dropped && tt.loses != way {
					t.Errorf("%s: %v; %d were dropped", way, rep, dropped)
				}
			}
		})
	}
}

// A NIC that went while there was no process does not hold up the others, and what comes back as another joins.
func TestAdoptWithoutOneNIC(t *testing.T) {
	plan := func(g *rig) *spread.Plan { return g.plan(spread.RuleSlots) }
	v := newLives(t, 2, "", plan, true)
	out, in := v.streams(2000)
	v.flow(out, in)
	v.die()
	l, err := v.host.Handle().LinkByName("m1")
	labtest.Must(t, err)
	labtest.Must(t, v.host.Handle().LinkDel(l))
	all := v.links
	v.links = v.links[:1]
	labtest.Must(t, v.begin())
	labtest.Must(t, v.path.Apply(plan(v.rig)))
	v.settled()
	v.flow(out, in)
	var id uint32
	if err := v.path.kernel.Members.Lookup(uint32(all[1].Index), &id); err == nil {
		t.Errorf("the NIC that is gone is member %d", id)
	}
	br, err := v.peer.Handle().LinkByName("br0")
	labtest.Must(t, err)
	v.addLink(1, br)
	labtest.Must(t, v.host.Do(func() error { return v.path.Join(1, v.links[1]) }))
	labtest.Must(t, v.path.Apply(plan(v.rig)))
	v.flow(out, in)
	if !v.path.Engaged() {
		t.Errorf("the relay moves: %v", <-v.path.Lost())
	}
}

// A start that ends before its first Plan leaves nothing attached, and the next one begins anew.
func TestAdoptClosedBeforePlan(t *testing.T) {
	for name, spoil := range map[string]func(v *lives){"adopted": func(*lives) {},
		"of another version": (*lives).otherVersion} {
		t.Run(name, func(t *testing.T) {
			v := newLives(t, 1, "", func(g *rig) *spread.Plan { return g.plan(spread.RuleSingle) }, true)
			out, in := v.streams(2000)
			v.flow(out, in)
			v.die()
			spoil(v)
			v.store.Next()
			_ = v.begin()
			labtest.Must(t, v.path.Close())
			if left := v.store.Stored(); !slices.Equal(left, []string{descriptors.Tap}) {
				t.Errorf("left in the store: %v", left)
			}
			for index, at := range map[int]ebpf.AttachType{v.adapter.Index(): ebpf.AttachTCXEgress,
				v.links[0].Index: ebpf.AttachTCXIngress} {
				labtest.Must(t, v.host.Do(func() error {
					got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
					if err == nil && len(got.Programs) > 0 {
						t.Errorf("programs are left on %d: %v", index, got.Programs)
					}
					return err
				}))
			}
			r, err := relay.New(relay.Options{Adapter: v.adapter, Store: v.store})
			labtest.Must(t, err)
			v.path = New(v.options(r))
			v.join()
			labtest.Must(t, v.path.Apply(v.plan(spread.RuleSingle)))
			v.flow(out, in)
			labtest.Must(t, v.path.Engage())
			v.flow(out, in)
		})
	}
}
