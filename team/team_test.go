// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
)

var update = flag.Bool("update", false, "write the golden files")

func bubble(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }

func names(events []api.Event) (list []string) {
	for _, e := range events {
		list = append(list, strings.TrimSpace(e.Event+" "+e.Member))
	}
	return list
}

// until waits for an event.
func until(t *testing.T, c <-chan api.Event, name string) api.Event {
	t.Helper()
	for {
		select {
		case e := <-c:
			if e.Event == name {
				return e
			}
		case <-time.After(time.Minute):
			t.Fatalf("no event %s within a minute", name)
		}
	}
}

func TestTeamForwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		if s := tm.Status(); s.State != "up" || !s.Adapter.Carrier || s.Active != "eth1" {
			t.Errorf("state %s, carrier %v, active %s", s.State, s.Adapter.Carrier, s.Active)
		}
		want := []string{"member-added eth1", "member-up eth1", "active-changed eth1", "team-up", "member-added eth2",
			"member-up eth2"}
		if diff := cmp.Diff(want, names(tm.Events(time.Time{}))); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// The Plan comes before the carrier and the announcements, and does not wait for addresses.
func TestTeamFailoverOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &fakeAddresses{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}}
		tm := running(t, k, Options{AddressSource: a}, 1, 2)
		time.Sleep(time.Second)
		k.taken()
		a.mu.Lock()
		a.hold = 300 * time.Millisecond
		a.mu.Unlock()
		follow := tm.Follow(t.Context())

		lost := time.Now()
		k.cable(1, false)
		k.changes <- struct{}{}
		e := until(t, follow, "active-changed")
		if late := time.Since(lost); late > 2*time.Millisecond {
			t.Errorf("failover after %v", late)
		}
		if e.Member != "eth2" || e.Took <= 0 && e.Took != 0 {
			t.Errorf("event %+v", e)
		}
		if diff := cmp.Diff([]string{"plan 10"}, k.taken()); diff != "" {
			t.Errorf("before the addresses are read (-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		isPlan := func(call string) bool { return strings.HasPrefix(call, "plan") } // an overlap may end
		if diff := cmp.Diff([]string{"send 1"}, slices.DeleteFunc(k.taken(), isPlan)); diff != "" {
			t.Errorf("afterwards (-want +got):\n%s", diff)
		}
		k.do(func() {
			got := k.sent[1][len(k.sent[1])-1]
			if want := frame.GratuitousARP(adapterMAC, netip.MustParseAddr("10.9.0.1"), 0); !cmp.Equal(want, got) {
				t.Errorf("announced %x, want %x", got, want)
			}
		})

		// The last one goes: Plan, then what the adapter shows.
		k.cable(2, false)
		time.Sleep(20 * time.Millisecond)
		if diff := cmp.Diff([]string{"plan 0", "speed", "carrier false"}, k.taken()); diff != "" {
			t.Errorf("the last member (-want +got):\n%s", diff)
		}
	})
}

// took_ns counts from the moment the loss was noticed to the Plan in force.
func TestTeamFailoverTook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		slow := &slowApply{kernel: k}
		o := Options{Config: activeBackup()}
		o.MAC, o.Adapter, o.Datapath, o.Source = adapterMAC, k, slow, k
		tm, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tm.Run(ctx) }()
		for n := 1; n <= 2; n++ {
			k.cable(n, true)
			if _, err := tm.Join(ctx, linkOf(n), 0, MemberInfo{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		follow := tm.Follow(ctx)
		slow.set(700 * time.Microsecond)
		k.cable(1, false)
		for _, name := range []string{"member-down", "active-changed"} {
			if e := until(t, follow, name); e.Took != 700_000 {
				t.Errorf("%s took %d ns, want 700000", name, e.Took)
			}
		}
		if e := until(t, follow, "team-degraded"); e.Took != 0 {
			t.Errorf("team-degraded took %d", e.Took)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type slowApply struct {
	*kernel
	hold time.Duration
}

func (s *slowApply) set(d time.Duration) { s.do(func() { s.hold = d }) }
func (s *slowApply) Apply(p *spread.Plan) error {
	var d time.Duration
	s.do(func() { d = s.hold })
	time.Sleep(d)
	return s.kernel.Apply(p)
}

// A NIC that takes long to open does not make a failover late.
func TestTeamFailoverDuringJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		follow := tm.Follow(t.Context())
		k.do(func() { k.joinHold = 5 * time.Second })
		k.cable(3, true)
		joined := make(chan error)
		go func() {
			_, err := tm.Join(t.Context(), linkOf(3), 0, MemberInfo{})
			joined <- err
		}()
		time.Sleep(time.Second)
		lost := time.Now()
		k.cable(1, false)
		until(t, follow, "active-changed")
		if late := time.Since(lost); late > 11*time.Millisecond {
			t.Errorf("failover after %v", late)
		}
		if err := <-joined; err != nil {
			t.Error(err)
		}
		if len(tm.Status().Members) != 3 {
			t.Error("not joined")
		}
	})
}

func TestTeamJoinRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1)
		k.fail["join eth2"] = errors.New("operation not permitted")
		_, err := tm.Join(t.Context(), linkOf(2), 0, MemberInfo{})
		var p *api.Problem
		if !errors.As(err, &p) || p.Kind != api.Failed || p.Why != "operation not permitted" {
			t.Errorf("error %v", err)
		}
		k.do(func() { delete(k.fail, "join eth2") })
		if _, err := tm.Join(t.Context(), linkOf(2), 0, MemberInfo{}); err != nil {
			t.Errorf("again: %v", err)
		}
		if _, err := tm.Join(t.Context(), linkOf(2), 0, MemberInfo{}); !errors.As(err, &p) || p.Kind != api.Conflict {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestTeamRemove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		o := Options{Config: activeBackup()}
		o.Config.Team, o.Config.Mode = "team0", modes.XOR
		tm := running(t, k, o, 1, 2)
		k.do(func() { k.backlog[0] = 1000 })
		go func() { // what is under way still arrives and leaves for a while
			for range 30 {
				time.Sleep(10 * time.Millisecond)
				k.do(func() { k.moved[0].RX++ })
			}
			k.do(func() { k.backlog[0] = 0 })
		}()
		begin := time.Now()
		if err := tm.Drain(t.Context(), "eth1", false); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < 400*time.Millisecond || d > 450*time.Millisecond {
			t.Errorf("drained in %v, want 100 ms after the last frame at 300 ms", d)
		}
		if s := tm.Status(); s.Members[0].State != "draining" || s.State != "up" {
			t.Errorf("state %s", s.Members[0].State)
		}
		k.taken()
		if err := tm.Leave(t.Context(), "eth1", false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"plan 10", "leave eth1"}, k.taken()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		var p *api.Problem
		if err := tm.Drain(t.Context(), "eth2", false); !errors.As(err, &p) || p.Kind != api.Conflict {
			t.Errorf("the last one: %v", err)
		}
		if _, err := tm.Join(t.Context(), linkOf(1), 0, MemberInfo{}); err != nil {
			t.Errorf("joining again: %v", err)
		}
	})
}

func TestTeamDrainIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.do(func() { k.backlog[0] = 1 })
		begin := time.Now()
		if err := tm.Drain(t.Context(), "eth1", false); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d != drainMax {
			t.Errorf("drained in %v, want %v", d, drainMax)
		}
		// A caller that gives up leaves a member that works.
		if err := tm.Leave(t.Context(), "eth1", false); err != nil {
			t.Fatal(err)
		}
		if _, err := tm.Join(t.Context(), linkOf(1), 0, MemberInfo{}); err != nil {
			t.Fatal(err)
		}
		k.do(func() { k.backlog[1] = 1 })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := tm.Drain(ctx, "eth2", false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		for _, m := range tm.Status().Members {
			if m.State == "draining" {
				t.Errorf("%s is draining still", m.Name)
			}
		}
	})
}

func TestTeamAbsentAndReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.do(func() { delete(k.links, 11) })
		k.changes <- struct{}{}
		time.Sleep(20 * time.Millisecond)
		if m := tm.Status().Members[0]; m.State != "absent" || m.Reason != "NIC is gone" {
			t.Fatalf("%s, %s", m.State, m.Reason)
		}
		back := linkOf(1)
		back.Index = 17 // eth7's place
		k.cable(7, true)
		if err := tm.Reopen(t.Context(), "eth1", back, MemberInfo{MTU: 9000}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if m := tm.Status().Members[0]; m.State != "standby" || m.Index != 17 || m.MTU != 9000 || m.Failures != 1 {
			t.Errorf("returned: %+v", m)
		}
		// The link watch follows to the new NIC.
		k.cable(7, false)
		time.Sleep(20 * time.Millisecond)
		if m := tm.Status().Members[0]; m.State != "down" {
			t.Errorf("state %s", m.State)
		}
		// Back in the same place (it was in another namespace for a while): read anew.
		k.cable(7, true)
		time.Sleep(20 * time.Millisecond)
		if err := tm.Reopen(t.Context(), "eth1", back, MemberInfo{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if m := tm.Status().Members[0]; m.State != "standby" {
			t.Errorf("state %s", m.State)
		}
		k.cable(7, false)
		time.Sleep(20 * time.Millisecond)
		if err := tm.Absent(t.Context(), "eth2"); err != nil {
			t.Fatal(err)
		}
		if s := tm.Status(); s.State != "down" {
			t.Errorf("team %s", s.State)
		}
		var p *api.Problem
		if err := tm.Reopen(t.Context(), "eth9", back, MemberInfo{}); !errors.As(err, &p) || p.Kind != api.NotFound {
			t.Errorf("error %v", err)
		}
	})
}

// Whatever is asked for at once, what is open and what is a member is the same in the end.
func TestTeamConcurrentChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2, 3)
		k.do(func() { k.joinHold = time.Millisecond })
		var all sync.WaitGroup
		for n := 1; n <= 3; n++ {
			l := linkOf(n)
			for range 5 {
				all.Go(func() { _ = tm.Reopen(t.Context(), l.Name, l, MemberInfo{}) })
				all.Go(func() { _ = tm.Leave(t.Context(), l.Name, false) })
				all.Go(func() { _, _ = tm.Join(t.Context(), l, 0, MemberInfo{}) })
				all.Go(func() { _ = tm.Drain(t.Context(), l.Name, false) })
			}
		}
		all.Wait()
		var members, open []string
		for _, m := range tm.Status().Members {
			members = append(members, m.Name)
		}
		k.do(func() {
			for _, l := range k.open {
				open = append(open, l.Name)
			}
		})
		slices.Sort(members)
		slices.Sort(open)
		if diff := cmp.Diff(members, open); diff != "" || len(members) == 0 {
			t.Errorf("members and what is open (-want +got):\n%s", diff)
		}
	})
}

// A call that is under way when the team ends comes back.
func TestTeamEndsDuringReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.do(func() { k.joinHold = 5 * time.Second })
		returned := make(chan error, 1)
		go func() { returned <- tm.Reopen(context.WithoutCancel(t.Context()), "eth1", linkOf(1), MemberInfo{}) }()
		t.Cleanup(func() { // after running's, so after the end
			if err := <-returned; !errors.Is(err, errEnded) {
				t.Errorf("error %v", err)
			}
		})
		time.Sleep(time.Second)
	})
}

func TestTeamSuspect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		follow := tm.Follow(t.Context())
		time.Sleep(3 * time.Millisecond) // between two readings
		lost := time.Now()
		k.cable(1, false)
		k.control <- Control{Kind: ControlSuspect, Member: 0}
		until(t, follow, "active-changed")
		if late := time.Since(lost); late > 2*time.Millisecond {
			t.Errorf("failover after %v", late)
		}
	})
}

// A data path that sees losses by itself needs few readings of carriers, and says who stands in.
func TestTeamWithADatapathThatSees(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, sees := range []bool{false, true} {
			k := newKernel()
			k.sees, k.dead = sees, 1
			tm := running(t, k, Options{}, 1, 2)
			frames := 0
			for range 10 {
				frames += 10 * busyFrames
				k.do(func() { k.counters.Members[0].TX[frame.UDP].Frames = uint64(frames) })
				time.Sleep(countersInterval)
			}
			k.do(func() { k.carriersRead = 0 })
			time.Sleep(countersInterval / 2)
			read := 0
			k.do(func() { read = k.carriersRead })
			if least, most := 25, 40; sees && read > 15 || !sees && (read < least || read > most) {
				t.Errorf("sees %v: %d readings in 50 ms", sees, read)
			}
			f, err := spread.ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
			if err != nil {
				t.Fatal(err)
			}
			if e := tm.Explain(f); e.Member != 1 || !strings.Contains(e.Why, "eth1 has no carrier") {
				t.Errorf("explained %+v", e)
			}
			c := tm.Config()
			c.DownDelay = time.Second
			if err := tm.Set(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if k.do(func() { sees = k.plan.Patient }); !sees {
				t.Error("with down_delay the data path would not wait")
			}
		}
	})
}

func TestTeamSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.taken()
		c := tm.Config()
		c.Mode = modes.Broadcast
		if err := tm.Set(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"plan 11"}, k.taken()); diff != "" {
			t.Errorf("the adapter and the members are left alone (-want +got):\n%s", diff)
		}
		c.MinMembers = 1000
		var p *api.Problem
		if err := tm.Set(t.Context(), c); !errors.As(err, &p) || p.Kind != api.Usage {
			t.Errorf("error %v", err)
		}
		if got := tm.Config(); got.Mode != modes.Broadcast || got.MinMembers != 1 || len(got.Members) != 2 {
			t.Errorf("config %+v", got)
		}
	})
}

// A Plan that the data path refuses is tried again, with a warning.
func TestTeamPlanRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.do(func() { k.fail["plan 10"] = errors.New("no buffer space") })
		k.cable(1, false)
		time.Sleep(50 * time.Millisecond)
		if s := tm.Status(); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "no buffer space") {
			t.Errorf("warnings %v", s.Warnings)
		}
		time.Sleep(time.Second)
		k.do(func() { delete(k.fail, "plan 10") })
		time.Sleep(2 * time.Second)
		s := tm.Status()
		k.do(func() {
			if k.plan.Active != 1 || len(s.Warnings) != 0 {
				t.Errorf("plan %+v, warnings %v", k.plan, s.Warnings)
			}
		})
	})
}

func TestTeamCarrierRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		k.fail["carrier true"] = errors.New("busy")
		tm := running(t, k, Options{}, 1)
		if tm.Status().Adapter.Carrier {
			t.Error("status shows what is not")
		}
		k.do(func() { delete(k.fail, "carrier true") })
		time.Sleep(2 * time.Second)
		if !tm.Status().Adapter.Carrier {
			t.Error("not tried again")
		}
	})
}

// TestTeamDoesNotWaitForTheCarrier: others hold the kernel's lock for as long as they like. The control loop goes on,
// and the carrier that is wanted last is set.
func TestTeamDoesNotWaitForTheCarrier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		k.do(func() { k.rtnlHeld = time.Minute })
		k.taken()
		for _, up := range []bool{false, true, false} {
			k.cable(1, up)
			k.cable(2, up)
			time.Sleep(time.Second)
			if s := tm.Status(); (s.State == "up") != up || (s.State == "down") != !up {
				t.Errorf("with links %v the team is %s: %s", up, s.State, s.Reason)
			}
		}
		time.Sleep(2 * time.Minute)
		k.do(func() {
			if k.carrier {
				t.Error("the adapter has a carrier")
			}
		})
	})
}

func TestTeamFlooding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		time.Sleep(10 * time.Second)
		follow := tm.Follow(t.Context())
		k.do(func() { k.counters.Members[1].Flooded = 5000 })
		if e := until(t, follow, "flooding"); e.Member != "eth2" {
			t.Errorf("event %+v", e)
		}
	})
}
