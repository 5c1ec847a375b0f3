package team

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/monitor"
)

// failer is what a test and a rapid test have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig drives a Loop in virtual time.
type rig struct {
	t    failer
	l    *Loop
	now  time.Time
	out  Output // the last one
	log  []string
	plan *modes.Plan
}

const adapterMAC = frame.MAC(0x0200_0000_00aa)

func newRig(t testing.TB, change func(*Config)) *rig {
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
	s := monitor.LinkState{Index: 10 + n, Watch: "carrier", Up: up, At: r.now, Link: monitor.Link{Exists: true, AdminUp: true, Carrier: up, SpeedBps: 1e9, Duplex: "full"}}
	if !up {
		s.Reason = monitor.ReasonCarrier
	}
	return r.do(LinkChanged{s})
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

func (r *rig) member(n int) MemberStatus {
	r.t.Helper()
	for _, m := range r.l.Status().Members {
		if m.Name == linkOf(n).Name {
			return m
		}
	}
	r.t.Fatalf("eth%d is no member", n)
	return MemberStatus{}
}

func (r *rig) wantEvents(what string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.events(), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("events of %s (-want +got):\n%s", what, diff)
	}
}

func (r *rig) wantProblem(kind ProblemKind, part string) {
	r.t.Helper()
	var p *Problem
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

func TestLoopFailover(t *testing.T) {
	r := newRig(t, nil)
	if r.state() != "down" || r.out.Carrier {
		t.Errorf("a team without members is %s, carrier %v", r.state(), r.out.Carrier)
	}
	a, b := r.join(1), r.join(2)
	r.wantEvents("joining", "member-added eth1", "member-added eth2")
	r.link(1, true)
	r.wantEvents("the first link", "member-up eth1", "active-changed eth1: eth1 is the first usable member", "team-up")
	if !r.out.Carrier || r.out.Tell != modes.TellAll || r.plan.Single != a {
		t.Errorf("carrier %v, announce %v, plan %+v", r.out.Carrier, r.out.Tell != 0, r.plan)
	}
	r.link(2, true)
	r.wantEvents("the second link", "member-up eth2")
	if got := r.member(2).State; got != "standby" {
		t.Errorf("second member is %s", got)
	}

	r.now = r.now.Add(time.Second)
	noticed := r.now
	r.link(1, false)
	r.wantEvents("the loss", "member-down eth1: carrier lost",
		"active-changed eth2: eth1 is not usable, eth2 is the first usable member", "team-degraded: eth1: carrier lost")
	if r.plan.Single != b || !r.out.Cause.Equal(noticed) || r.out.Tell != modes.TellAll {
		t.Errorf("plan %+v, cause %v, announce %v", r.plan, r.out.Cause, r.out.Tell != 0)
	}
	if diff := cmp.Diff([]int{b}, r.out.Via); diff != "" {
		t.Errorf("announced by (-want +got):\n%s", diff)
	}
	r.link(2, false)
	r.wantEvents("the other loss", "member-down eth2: carrier lost", "active-changed: eth2 is not usable, no member is usable",
		"team-down: eth1: carrier lost; eth2: carrier lost")
	if r.out.Carrier || r.out.Tell != 0 || r.plan.Distributing != 0 {
		t.Errorf("carrier %v, announce %v, plan %+v", r.out.Carrier, r.out.Tell != 0, r.plan)
	}
	r.link(1, true)
	r.wantEvents("one is back", "member-up eth1", "active-changed eth1: eth1 is the first usable member", "team-degraded: eth2: carrier lost")
	r.link(2, true)
	r.wantEvents("all are back", "member-up eth2", "team-up")
	if got := r.member(1).Failures; got != 1 {
		t.Errorf("failures %d, want 1", got)
	}
}

func TestLoopDelays(t *testing.T) {
	const delay = 500 * time.Millisecond
	r := newRig(t, func(c *Config) { c.Mode = modes.XOR; c.UpDelay, c.DownDelay = delay, 100*time.Millisecond })
	r.join(1)
	r.join(2)
	r.link(1, true)
	if got := r.member(1).State; got != "up" {
		t.Errorf("the only member waits: %s", got)
	}
	r.link(2, true)
	if m := r.member(2); m.State != "down" || m.Reason != "link is up, waits for up_delay of 500ms" {
		t.Errorf("the second member: %s, %s", m.State, m.Reason)
	}
	// A flap cancels the delay that runs.
	r.run(400 * time.Millisecond)
	r.link(2, false)
	r.run(50 * time.Millisecond)
	r.link(2, true)
	r.run(400 * time.Millisecond)
	if got := r.member(2).State; got != "down" {
		t.Errorf("up %s before its unbroken delay", got)
	}
	r.run(100 * time.Millisecond)
	if got := r.member(2).State; got != "up" || r.state() != "up" {
		t.Errorf("after the delay: %s, team %s", got, r.state())
	}
	// Down-delay: it goes on being used, and the failover counts from the loss.
	r.events()
	lost := r.now
	r.link(1, false)
	if m := r.member(1); m.State != "up" || m.Reason != "carrier lost, waits for down_delay of 100ms" {
		t.Errorf("during down_delay: %s, %s", m.State, m.Reason)
	}
	r.now = r.l.Deadline()
	r.do(Tick{})
	r.wantEvents("the end of down_delay", "member-down eth1: carrier lost", "team-degraded: eth1: carrier lost")
	if !r.out.Cause.Equal(lost) || r.now.Sub(lost) != 100*time.Millisecond {
		t.Errorf("cause %v, now %v, lost %v", r.out.Cause, r.now, lost)
	}
	// The last usable one goes while the other waits: it waits no more.
	r.link(1, true)
	r.run(10 * time.Millisecond)
	if got := r.member(1).State; got != "down" {
		t.Fatalf("eth1 is %s", got)
	}
	r.link(2, false)
	r.now = r.l.Deadline()
	r.do(Tick{})
	if got := r.member(1).State; got != "up" {
		t.Errorf("nothing else to use, and eth1 is %s", got)
	}
}

func TestLoopMinMembers(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Mode = modes.RoundRobin; c.MinMembers = 2 })
	r.join(1)
	r.join(2)
	r.link(1, true)
	if s := r.l.Status(); s.State != "down" || s.Reason != "1 of 2 members usable, min_members is 2" || r.out.Carrier {
		t.Errorf("%s, %s, carrier %v", s.State, s.Reason, r.out.Carrier)
	}
	r.link(2, true)
	if r.state() != "up" || !r.out.Carrier {
		t.Errorf("two of two: %s", r.state())
	}
}

func TestLoopDrainAndLeave(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Mode = modes.XOR })
	a, b := r.join(1), r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()

	r.do(Drain{Name: "eth3"})
	r.wantProblem(NotFound, `no member "eth3": the members are eth1, eth2`)
	out := r.do(Drain{Name: "eth1"})
	if out.ID != a || r.plan.Distributing.Has(a) || !r.plan.Collecting.Has(a) {
		t.Errorf("drain of %d: id %d, plan %+v", a, out.ID, r.plan)
	}
	if m := r.member(1); m.State != "draining" || r.state() != "up" {
		t.Errorf("draining: %s, team %s", m.State, r.state())
	}
	r.do(Drain{Name: "eth2"})
	r.wantProblem(Conflict, "last member")
	if !r.plan.Distributing.Has(b) {
		t.Error("a refused drain changed the Plan")
	}
	r.do(Undrain{Name: "eth1"})
	if !r.plan.Distributing.Has(a) {
		t.Error("undrained member does not distribute")
	}
	r.do(Drain{Name: "eth1"})
	r.do(Leave{Name: "eth1"})
	r.wantEvents("leaving", "member-removed eth1")
	if (r.plan.Collecting | r.plan.Distributing).Has(a) {
		t.Errorf("plan names a member that left: %+v", r.plan)
	}
	// The id is taken until the data path has closed it, and is not the next one to be given out.
	if c := r.join(3); c == a || c == b {
		t.Errorf("id %d given out twice", c)
	}
	r.do(Released{ID: a})
	if c := r.join(1); c == a {
		t.Error("the id free last was given out first")
	}

	r.do(Leave{Name: "eth1"})
	r.do(Leave{Name: "eth3"})
	r.do(Leave{Name: "eth2"})
	r.wantProblem(Conflict, "last member")
	r.do(Leave{Name: "eth2", Force: true})
	if r.out.Err != nil || r.state() != "down" || r.out.Carrier {
		t.Errorf("forced: %v, %s", r.out.Err, r.state())
	}
}

func TestLoopReserve(t *testing.T) {
	r := newRig(t, nil)
	r.do(Reserve{Link: linkOf(1)})
	id := r.out.ID
	r.do(Reserve{Link: linkOf(1)})
	r.wantProblem(Conflict, "being added already")
	r.do(Released{ID: id})
	r.join(1)
	r.do(Reserve{Link: linkOf(1)})
	r.wantProblem(Conflict, "a member already")
	for n := 2; n <= modes.MaxMembers; n++ {
		r.join(n)
	}
	r.do(Reserve{Link: linkOf(100)})
	r.wantProblem(Conflict, "at most 64")
}

func TestLoopAbsentAndReturned(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.join(1), r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.gone(1)
	r.wantEvents("going", "member-down eth1: NIC is gone", "active-changed eth2: eth1 is not usable, eth2 is the first usable member",
		"team-degraded: eth1: NIC is gone")
	if got := r.member(1).State; got != "absent" {
		t.Errorf("member is %s", got)
	}
	// Its socket is dead: a link that is up again under the same ifindex does not help.
	r.link(1, true)
	if got := r.member(1).State; got != "absent" {
		t.Errorf("member is %s without its socket", got)
	}
	r.do(Vacate{Name: "eth1"})
	if r.out.ID != a || r.out.Link.Index != 11 || (r.plan.Collecting | r.plan.Distributing).Has(a) || len(r.plan.Filter[a]) != 0 {
		t.Errorf("vacated: %+v, plan %+v", r.out, r.plan)
	}
	was := r.now
	r.now = r.now.Add(time.Second)
	back := linkOf(1)
	back.Index = 50
	r.do(Returned{ID: a, Link: back})
	r.do(LinkChanged{monitor.LinkState{Index: 50, Reason: monitor.ReasonGone, At: was}}) // about the NIC before
	if got := r.member(1).State; got != "down" {
		t.Errorf("believed what is older than the return: %s", got)
	}
	r.events()
	r.do(LinkChanged{monitor.LinkState{Index: 50, Up: true, At: r.now, Link: monitor.Link{Exists: true, AdminUp: true, Carrier: true}}})
	r.wantEvents("returning", "member-up eth1", "team-up")
	if r.plan.Single != b {
		t.Error("active changed without need")
	}
}

func TestLoopChange(t *testing.T) {
	set := func(r *rig, change func(*Config)) Output {
		c := r.l.Config()
		change(&c)
		return r.do(Change{Config: c})
	}
	start := func(t *testing.T) *rig {
		r := newRig(t, nil)
		for n := 1; n <= 3; n++ {
			r.join(n)
			r.link(n, true)
		}
		r.run(time.Second)
		r.events()
		return r
	}
	t.Run("mode", func(t *testing.T) {
		r := start(t)
		set(r, func(c *Config) { c.Mode = modes.XOR })
		r.wantEvents("mode", "mode-changed: xor, was active-backup")
		if r.plan.Spread != modes.SpreadSlots || r.plan.Distributing.Len() != 3 || r.l.Status().Active != "" {
			t.Errorf("plan %+v", r.plan)
		}
	})
	t.Run("balance", func(t *testing.T) {
		r := start(t)
		set(r, func(c *Config) { c.Mode = modes.XOR })
		r.events()
		set(r, func(c *Config) { c.Balance = false })
		r.wantEvents("off", "setting-changed: balance=off, was on", "active-changed eth1: eth1 is the first usable member")
		if r.plan.Spread != modes.SpreadSingle || r.l.Status().Active != "eth1" {
			t.Errorf("plan %+v", r.plan)
		}
		set(r, func(c *Config) { c.Balance = true })
		if r.plan.Spread != modes.SpreadSlots || r.plan.Distributing.Len() != 3 {
			t.Errorf("plan %+v", r.plan)
		}
	})
	t.Run("mode not in this build", func(t *testing.T) {
		r := start(t)
		was := r.l.Config()
		set(r, func(c *Config) { c.Mode = modes.LACP; c.Hash = modes.Layer2 })
		r.wantProblem(Failed, "not in this build yet")
		if diff := cmp.Diff(was, r.l.Config(), cmpopts.EquateComparable(was.Gateway)); diff != "" {
			t.Errorf("refused, and changed (-want +got):\n%s", diff)
		}
		r.wantEvents("refused")
	})
	t.Run("active", func(t *testing.T) {
		r := start(t)
		set(r, func(c *Config) { c.Active = "eth3" })
		r.wantEvents("active", "setting-changed: active=eth3, was not set", "active-changed eth3: eth3 was chosen by hand")
		r.link(2, false)
		set(r, func(c *Config) { c.Active = "eth2" })
		r.wantProblem(Conflict, "not usable: carrier lost")
		set(r, func(c *Config) { c.Active = "eth9" })
		r.wantProblem(NotFound, "eth9")
		set(r, func(c *Config) { c.Mode = modes.XOR })
		if r.l.Config().Active != "" {
			t.Error("the wish outlived the mode")
		}
		set(r, func(c *Config) { c.Active = "eth1" })
		r.wantProblem(Conflict, "no member stands for all")
	})
	t.Run("primary", func(t *testing.T) {
		r := start(t)
		set(r, func(c *Config) { c.Primary = "eth2" })
		if r.l.Status().Active != "eth2" {
			t.Errorf("active is %s", r.l.Status().Active)
		}
		set(r, func(c *Config) { c.Primary = "eth9" })
		r.wantProblem(NotFound, "eth9")
	})
	t.Run("weight", func(t *testing.T) {
		r := start(t)
		set(r, func(c *Config) { c.Mode = modes.RoundRobin; c.Members[1].Weight = 10 })
		r.wantEvents("weight", "mode-changed: round-robin, was active-backup", "setting-changed eth2: weight=10, was 1")
		if w := r.plan.Weights; w[1] < 9*w[0] {
			t.Errorf("weights %v", w[:3])
		}
		set(r, func(c *Config) { c.Members[1].Weight = -1 })
		r.wantProblem(Usage, "weight.eth2=-1")
		set(r, func(c *Config) { c.Members[1].Name = "eth9" })
		r.wantProblem(NotFound, "eth9")
	})
	t.Run("a delay that runs", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Mode = modes.XOR; c.UpDelay = time.Hour })
		r.join(1)
		r.join(2)
		r.link(1, true)
		r.link(2, true)
		r.run(time.Minute)
		set(r, func(c *Config) { c.UpDelay = time.Second })
		if got := r.member(2).State; got != "up" {
			t.Errorf("member is %s, its new delay has long passed", got)
		}
	})
	for _, bad := range []struct {
		name   string
		change func(*Config)
	}{
		{"min_members", func(c *Config) { c.MinMembers = 65 }},
		{"packets_per_member", func(c *Config) { c.PacketsPerMember = -1 }},
		{"up_delay", func(c *Config) { c.UpDelay = -1 }},
		{"down_delay", func(c *Config) { c.DownDelay = 2 * time.Hour }},
		{"announce_count", func(c *Config) { c.AnnounceCount = 256 }},
		{"announce_interval", func(c *Config) { c.AnnounceInterval = time.Hour }},
		{"hash", func(c *Config) { c.Hash = 77 }},
		{"primary_reselect", func(c *Config) { c.PrimaryReselect = 9 }},
	} {
		t.Run("wrong "+bad.name, func(t *testing.T) {
			r := start(t)
			set(r, func(c *Config) { c.Mode = modes.XOR; bad.change(c) })
			r.wantProblem(Usage, bad.name)
			if r.l.Config().Mode != modes.ActiveBackup {
				t.Error("half of a refused change was made")
			}
		})
	}
}

func TestLoopWarning(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.events()
	r.do(Warn{Key: "x", Text: "speeds differ"})
	r.wantEvents("warning", "team-degraded: speeds differ")
	if diff := cmp.Diff([]string{"speeds differ"}, r.l.Status().Warnings); diff != "" {
		t.Error(diff)
	}
	r.do(Warn{Key: "x"})
	r.wantEvents("cleared", "team-up")
}

func TestLoopBehind(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	seen := func(m frame.MAC) Output {
		return r.do(FromDatapath{Control{Kind: ControlBehind, Member: -1, MAC: m}})
	}
	const vm = frame.MAC(0x0200_0000_1000)
	seen(adapterMAC)
	seen(linkOf(1).MAC)
	seen(frame.Broadcast)
	seen(0)
	if len(r.plan.Behind) != 0 {
		t.Errorf("took in what is no guest: %v", r.plan.Behind)
	}
	r.run(time.Second)
	seen(vm)
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("a new guest is not known at once (-want +got):\n%s", diff)
	}
	// Many new ones at once make few Plans.
	plans := 0
	for i := range 100 {
		if seen(vm+frame.MAC(i)).Plan != nil {
			plans++
		}
	}
	r.run(behindGap)
	if plans > 1 || len(r.plan.Behind) != 100 {
		t.Errorf("%d Plans for 100 guests, %d known", plans, len(r.plan.Behind))
	}
	// Those that send are reported whenever the Plan asks for them; only the first does, and it stays all the time.
	for range 100 {
		r.run(10 * time.Second)
		if !slices.Contains(r.plan.Behind, vm) {
			t.Fatal("a guest that goes on sending was forgotten")
		}
		if slices.Contains(r.plan.Ageing, vm) {
			seen(vm)
		}
	}
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("after their age (-want +got):\n%s", diff)
	}
	r.run(time.Hour)
	if len(r.plan.Behind) != 0 || !r.l.Deadline().IsZero() {
		t.Errorf("silent for an hour: %v, deadline %v", r.plan.Behind, r.l.Deadline())
	}
	// A guest cannot make us remember without end.
	for i := range 3 * behindMax {
		seen(vm + frame.MAC(i))
	}
	r.run(time.Second)
	if len(r.plan.Behind) != behindMax {
		t.Errorf("%d remembered, want %d", len(r.plan.Behind), behindMax)
	}
}

func TestLoopBehindIsForgottenInTime(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.do(FromDatapath{Control{Kind: ControlBehind, Member: -1, MAC: 0x0200_0000_1000}})
	r.run(behindAge / 2)
	if len(r.plan.Behind) != 1 {
		t.Error("forgotten too early")
	}
	r.run(behindAge / 2)
	if len(r.plan.Behind) != 0 {
		t.Error("kept beyond its age")
	}
}

func TestLoopFlooding(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	b := r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.do(Flooding{ID: b, Frames: 1000})
	r.wantEvents("frames that were under way during the change")
	r.run(10 * time.Second)
	r.do(Flooding{ID: b, Frames: 1000})
	r.wantEvents("flooding", "flooding eth2: the switch sends it frames that are for another member")
	if r.out.Tell != modes.TellAll || r.state() != "up" {
		t.Errorf("announce %v, state %s", r.out.Tell != 0, r.state())
	}
	r.run(time.Second)
	r.do(Flooding{ID: b, Frames: 1000})
	if r.out.Tell != 0 {
		t.Error("a storm of announcements")
	}
}

// TestLoopKnowsFloodingSoon: a planned change a moment after the first frames were seen to be flooded must not have
// two members take frames in.
func TestLoopKnowsFloodingSoon(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // of the flooded frames, since the change before
		want  int           // members that take unicast in right after the next change
	}{
		{"learning switch", 0, 2},
		{"frames under way", modes.Overlap, 2},
		{"flooding switch", floodingSettle, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.join(1)
			b := r.join(2)
			r.link(1, true)
			r.link(2, true)
			if tt.after > 0 {
				// There and back, so that an overlap ends meanwhile.
				c := r.l.Config()
				c.Active = "eth2"
				r.do(Change{Config: c})
				r.run(time.Second)
				c.Active = "eth1"
				r.do(Change{Config: c})
				r.run(tt.after)
				r.do(Flooding{ID: b, Frames: 5})
			}
			r.run(time.Second)
			c := r.l.Config()
			c.Active = "eth2"
			r.do(Change{Config: c})
			if n := r.plan.Collecting.Len(); n != tt.want {
				t.Errorf("%d members take frames in, want %d", n, tt.want)
			}
		})
	}
}

// TestLoopModeHandsOver: who took frames in goes on for a moment when a mode comes that has one member do so.
func TestLoopModeHandsOver(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Mode = modes.XOR })
	for i := 1; i <= 3; i++ {
		r.join(i)
		r.link(i, true)
	}
	r.run(time.Second)
	c := r.l.Config()
	c.Mode = modes.ActiveBackup
	r.do(Change{Config: c})
	if n := r.plan.Collecting.Len(); n != 3 || r.plan.Distributing.Len() != 1 {
		t.Errorf("%d members take frames in, %d send", n, r.plan.Distributing.Len())
	}
	r.run(2 * modes.Overlap)
	if n := r.plan.Collecting.Len(); n != 1 {
		t.Errorf("later %d members take frames in", n)
	}
	// Once the new mode knows, nobody needs to be told again.
	c = r.l.Config()
	c.Primary = "eth1"
	r.do(Change{Config: c})
	if n := r.plan.Collecting.Len(); n != 1 {
		t.Errorf("after another setting %d members take frames in", n)
	}
}

func TestLoopSuspect(t *testing.T) {
	r := newRig(t, nil)
	id := r.join(1)
	r.do(FromDatapath{Control{Kind: ControlSuspect, Member: id}})
	if diff := cmp.Diff([]int{11}, r.out.Poke); diff != "" {
		t.Error(diff)
	}
	r.do(FromDatapath{Control{Kind: ControlSuspect, Member: 40}})
	if r.out.Poke != nil {
		t.Error("poked for a member that is none")
	}
}
