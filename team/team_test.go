package team

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/frame"
	"nicteam/modes"
)

var update = flag.Bool("update", false, "write the golden files")

func bubble(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }

func names(events []Event) (list []string) {
	for _, e := range events {
		list = append(list, strings.TrimSpace(e.Event+" "+e.Member))
	}
	return list
}

// until waits for an event.
func until(t *testing.T, c <-chan Event, name string) Event {
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
		want := []string{"member-added eth1", "member-up eth1", "active-changed eth1", "team-up", "member-added eth2", "member-up eth2"}
		if diff := cmp.Diff(want, names(tm.Events(time.Time{}))); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// The Plan comes before the carrier and the announcements, and does not wait for addresses.
func TestTeamFailoverOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &announcer{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}}
		tm := running(t, k, Options{Announcer: a}, 1, 2)
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

		// The last one goes: Plan, then carrier.
		k.cable(2, false)
		time.Sleep(20 * time.Millisecond)
		if diff := cmp.Diff([]string{"plan 0", "carrier false"}, k.taken()); diff != "" {
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
func (s *slowApply) Apply(p *modes.Plan) error {
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
		var p *Problem
		if !errors.As(err, &p) || p.Kind != Failed || p.Why != "operation not permitted" {
			t.Errorf("error %v", err)
		}
		k.do(func() { delete(k.fail, "join eth2") })
		if _, err := tm.Join(t.Context(), linkOf(2), 0, MemberInfo{}); err != nil {
			t.Errorf("again: %v", err)
		}
		if _, err := tm.Join(t.Context(), linkOf(2), 0, MemberInfo{}); !errors.As(err, &p) || p.Kind != Conflict {
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
				k.do(func() { k.counters.Members[0].RX[frame.TCP].Frames++ })
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
		var p *Problem
		if err := tm.Drain(t.Context(), "eth2", false); !errors.As(err, &p) || p.Kind != Conflict {
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
		if err := tm.Return(t.Context(), "eth1", back, MemberInfo{MTU: 9000}); err != nil {
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
		if err := tm.Return(t.Context(), "eth1", back, MemberInfo{}); err != nil {
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
		var p *Problem
		if err := tm.Return(t.Context(), "eth9", back, MemberInfo{}); !errors.As(err, &p) || p.Kind != NotFound {
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
				all.Go(func() { _ = tm.Return(t.Context(), l.Name, l, MemberInfo{}) })
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
		go func() { returned <- tm.Return(context.WithoutCancel(t.Context()), "eth1", linkOf(1), MemberInfo{}) }()
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
		var p *Problem
		if err := tm.Set(t.Context(), c); !errors.As(err, &p) || p.Kind != Usage {
			t.Errorf("error %v", err)
		}
		if got := tm.Config(); got.Mode != modes.Broadcast || got.MinMembers != 1 || len(got.Members) != 2 {
			t.Errorf("config %+v", got)
		}
	})
}

// A Plan that the data path refuses is tried again, and people are told.
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
			if k.plan.Single != 1 || len(s.Warnings) != 0 {
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

// However often a link flaps, announcements stay one stream.
func TestTeamAnnouncementsAreNoStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &announcer{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}, {IP: netip.MustParseAddr("fd09::1")}}}}
		o := Options{Config: activeBackup(), Announcer: a}
		o.Config.Team, o.Config.AnnounceCount, o.Config.AnnounceInterval = "team0", 3, 100*time.Millisecond
		tm := running(t, k, o, 1, 2)
		time.Sleep(time.Second)
		sent := func() (n int) {
			k.do(func() { n = len(k.sent[0]) + len(k.sent[1]) })
			return n
		}
		if got := sent(); got != 6 {
			t.Errorf("%d frames, want 2 addresses 3 times", got)
		}
		begin := sent()
		for range 20 { // once each 20 ms, faster than announcements follow each other
			k.cable(1, false)
			time.Sleep(20 * time.Millisecond)
			k.cable(1, true)
			k.cable(2, false)
			time.Sleep(20 * time.Millisecond)
			k.cable(2, true)
		}
		time.Sleep(time.Second)
		if got := sent() - begin; got > 2*(40+3) {
			t.Errorf("%d frames for 40 changes", got)
		}
		if err := tm.Announce(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A failover does not wait until the announcements of the one before have all gone out.
func TestTeamAnnouncementIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &announcer{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}}
		o := Options{Config: activeBackup(), Announcer: a}
		o.Config.Team, o.Config.AnnounceCount, o.Config.AnnounceInterval = "team0", 5, time.Minute
		running(t, k, o, 1, 2)
		time.Sleep(10 * time.Second)
		k.cable(1, false)
		time.Sleep(2 * restEvery) // nobody tells of the loss
		k.do(func() {
			if len(k.sent[0]) != 1 || len(k.sent[1]) != 1 {
				t.Errorf("%d by the first, %d by the second", len(k.sent[0]), len(k.sent[1]))
			}
		})
		time.Sleep(time.Hour)
		k.do(func() {
			if len(k.sent[0]) != 1 || len(k.sent[1]) != 5 {
				t.Errorf("at the end %d by the first, %d by the second", len(k.sent[0]), len(k.sent[1]))
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

func TestFollowersNeverDelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		lazy := tm.Follow(ctx)
		for range 3 * historyLen {
			tm.Record("takeover", "", "")
		}
		if n := len(tm.Events(time.Time{})); n != historyLen {
			t.Errorf("%d events remembered, want %d", n, historyLen)
		}
		if n := len(lazy); n != followRoom {
			t.Errorf("%d events wait, want %d", n, followRoom)
		}
		cancel()
		n := 0
		for range lazy {
			n++
		}
		if n != followRoom {
			t.Errorf("%d delivered", n)
		}
		// Replay has what was, and goes on.
		tm.Record("restored", "", "")
		replay := tm.Replay(t.Context(), time.Time{})
		tm.Record("takeover", "eth7", "")
		var last, before Event
		for range historyLen + 1 {
			before, last = last, <-replay
		}
		if before.Event != "restored" || last.Member != "eth7" {
			t.Errorf("replayed %+v, %+v", before, last)
		}
	})
}

func TestHistorySince(t *testing.T) {
	var h history
	for i := range historyLen + 10 {
		h.add([]Event{{Time: time.Unix(int64(i), 0)}})
	}
	got := h.since(time.Unix(historyLen+8, 0))
	want := []Event{{Time: time.Unix(historyLen+8, 0)}, {Time: time.Unix(historyLen+9, 0)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first := h.since(time.Time{})[0]; first.Time != time.Unix(10, 0) {
		t.Errorf("oldest %v", first.Time)
	}
}

func TestStatusGolden(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		o := Options{Config: activeBackup(), DatapathName: "relay", DatapathReason: "not in this build yet: fastpath",
			AdapterInfo: func() AdapterStatus {
				return AdapterStatus{Name: "team0", Index: 7, MTU: 1500, Addresses: []string{"10.9.0.1/24"}}
			}}
		tm := running(t, k, o, 1, 2)
		k.do(func() {
			m := &k.counters.Members[0]
			m.RX[frame.TCP] = Count{Bytes: 1000, Frames: 10}
			m.RX[frame.ARP] = Count{Bytes: 60, Frames: 1}
			m.TX[frame.UDP] = Count{Bytes: 500, Frames: 5}
			m.TXDrop[DropBacklog], m.RXDrop[DropReflected], m.RXError = 3, 4, 5
			k.counters.Members[1].RXDrop[DropStandby] = 9
			k.counters.Members[9].RX[frame.TCP] = Count{Bytes: 7, Frames: 1} // a member that has left
		})
		k.cable(2, false)
		time.Sleep(20 * time.Millisecond)
		s := tm.Status()
		s.PID, s.Since = 4242, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		golden(t, "status.json", s)

		// Every key of the contract is there.
		var doc map[string]any
		b, _ := json.Marshal(s)
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		member := doc["members"].([]any)[0].(map[string]any)
		wantKeys(t, doc, "schema team mode state reason since pid datapath datapath_reason adapter active balance settings members rx tx warnings")
		wantKeys(t, doc["adapter"].(map[string]any), "name index mac mtu carrier addresses")
		wantKeys(t, doc["settings"].(map[string]any), "hash primary up_delay_ns down_delay_ns")
		wantKeys(t, member, "name index mac driver state reason link speed_bps duplex mtu weight collecting distributing failures rx tx")
		wantKeys(t, member["rx"].(map[string]any), "bytes frames drops errors")
	})
}

func TestRatesGolden(t *testing.T) {
	prev := &Sample{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Team: "team0", Members: []MemberSample{{ID: 0, Name: "eth1", Link: true}, {ID: 1, Name: "eth2"}}}
	now := &Sample{Time: prev.Time.Add(time.Second), Team: "team0", Members: prev.Members}
	prev.Counters.Members[0].RX[frame.TCP] = Count{Bytes: 1000, Frames: 10}
	prev.Counters.Members[1].TX[frame.UDP] = Count{Bytes: 1_000_000, Frames: 1000} // begins anew
	now.Counters.Members[0].RX[frame.TCP] = Count{Bytes: 4000, Frames: 12}
	now.Counters.Members[0].TX[frame.ARP] = Count{Bytes: 60, Frames: 1}
	now.Counters.Members[1].TX[frame.UDP] = Count{Bytes: 200, Frames: 2}
	now.Counters.Members[5].RX[frame.ND] = Count{Bytes: 86, Frames: 1} // of one that left
	d := Rates(prev, now)
	golden(t, "rates.json", d)
	var rx, tx Count
	for _, p := range d.Protocols {
		rx.Add(p.RX)
		tx.Add(p.TX)
	}
	if diff := cmp.Diff([]Count{d.RX, d.TX}, []Count{rx, tx}); diff != "" {
		t.Errorf("protocols do not sum to the total (-want +got):\n%s", diff)
	}
}

// golden compares v as JSON with a file of testdata.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, diff)
	}
}

func wantKeys(t *testing.T, m map[string]any, keys string) {
	t.Helper()
	for _, k := range strings.Fields(keys) {
		if _, ok := m[k]; !ok {
			t.Errorf("key %q is missing", k)
		}
	}
}

func TestAnnounceFrames(t *testing.T) {
	v4, v6, mac := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1"), frame.MAC(0x0200_0000_00bb)
	g4, g6 := netip.MustParseAddr("239.1.1.1"), netip.MustParseAddr("ff02::1:ff00:1")
	ll := netip.MustParseAddr("fe80::1%7")
	tag := func(b []byte, vlan byte) []byte {
		return append(append(append([]byte{}, b[:12]...), 0x81, 0, 0, vlan), b[12:]...)
	}
	what := Announcement{
		Addresses: []Address{{IP: v4}, {IP: v6, Router: true}, {IP: v4, MAC: mac, VLAN: 5}},
		Groups:    []GroupReport{{Source: v4, Groups: []netip.Addr{g4}}, {Source: ll, VLAN: 5, Groups: []netip.Addr{g6}}},
	}
	addresses := [][]byte{frame.GratuitousARP(adapterMAC, v4, 0), frame.UnsolicitedNA(adapterMAC, v6, true, 0), frame.GratuitousARP(mac, v4, 5)}
	groups := [][]byte{frame.IGMPReport(adapterMAC, v4, []netip.Addr{g4}), tag(frame.MLDReport(adapterMAC, ll.WithZone(""), []netip.Addr{g6}), 5)}
	by := func(id int, frames ...[]byte) (sends []modes.Send) {
		for _, f := range frames {
			sends = append(sends, modes.Send{Member: id, Frame: f})
		}
		return sends
	}
	behind := []Behind{{MAC: mac, Member: 7}}
	for _, c := range []struct {
		tell modes.Tell
		want []modes.Send
	}{
		{modes.TellAll, slices.Concat(by(3, addresses...), by(7, frame.RARP(mac)), by(3, groups...))},
		{modes.TellAddresses, by(3, addresses...)},
		{modes.TellGroups, by(3, groups...)},
		{modes.TellBehind, by(7, frame.RARP(mac))},
	} {
		a := announcement{tell: c.tell, via: []int{3}, as: adapterMAC, behind: behind}
		if diff := cmp.Diff(c.want, a.sends(what), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%b (-want +got):\n%s", c.tell, diff)
		}
	}
}
