// SPDX-License-Identifier: MIT

package team

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// TestAdmission: a member is used from its first answer on; if none comes, all with link are used after 200 ms; the
// first that answers then is the only one.
func TestAdmission(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	r.plug(2)
	r.want("at once", "down down")
	if m := r.member(1); m.Watch == nil || m.Watch.Verdict != "waiting" || !strings.Contains(m.Reason,
		gateway.String()) {
		t.Errorf("before the first answer: %q, %+v", m.Reason, m.Watch)
	}
	r.pass(time.Millisecond)
	r.want("answered", "up up")
	r.wantEvents("answers", "member-added eth1", "member-added eth2", "member-up eth1", "team-up", "member-up eth2")
	if w := r.member(1).Watch; w.Verdict != "up" || w.RTT != 200_000 || len(w.Asked) != 1 ||
		w.Asked[0].IP != gateway.String() ||
		w.Asked[0].Watch != "auto" || !w.Asked[0].Answers {
		t.Errorf("watch: %+v", w)
	}

	r = newLANRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	r.down = true
	r.plug(2)
	r.pass(199 * time.Millisecond)
	r.want("unanswered", "down down")
	r.pass(time.Millisecond)
	r.want("no patience any more", "up up")
	if m := r.member(1); !strings.Contains(m.Reason, "no other member is usable") || r.state() != "up" {
		t.Errorf("used for want of another: team %s, %q", r.state(), m.Reason)
	}
	r.mute[1], r.down = true, false
	r.pass(500 * time.Millisecond)
	r.want("one answers", "up down")
	if m := r.member(2); m.Failures != 0 {
		t.Errorf("eth2 has %d failures: it was never good", m.Failures)
	}
}

// TestAnswersThatComeLate: those that were used for want of another, and answer one after the other, have not gone down
// between. One that never answers has, as soon as that is known.
func TestAnswersThatComeLate(t *testing.T) {
	waits := func(nic string) string {
		return "no other member is usable; waits for the first answer by " + nic + " from gateway 10.0.0.254"
	}
	plugged := func() *lanRig {
		r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
		r.down = true
		r.plug(2)
		r.pass(250 * time.Millisecond)
		r.mute[1], r.down = true, false
		r.pass(500 * time.Millisecond)
		r.want("one answers", "up down")
		r.wantEvents("one answers", "member-added eth1", "member-added eth2", "member-up eth1: "+waits("eth1"),
			"member-up eth2: "+waits("eth2"), "team-up")
		return r
	}
	r := plugged()
	r.mute[1] = false
	r.pass(time.Second)
	r.want("both answer", "up up")
	r.wantEvents("both answer", "member-up eth2")

	r = plugged()
	r.pass(10 * time.Second)
	r.want("one is mute", "up down")
	why := "gateway 10.0.0.254 does not answer by eth2 (3 of 3 asks), it does by eth1"
	r.wantEvents("one is mute", "member-down eth2: "+why, "team-degraded: eth2: "+why)

	r = plugged()
	r.cable(2, false)
	r.wantEvents("one is pulled", "member-down eth2: carrier lost", "team-degraded: eth2: carrier lost")
}

// TestAdmissionAfterLoss: a member whose cable comes back waits for its answer while others carry the frames.
func TestAdmissionAfterLoss(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.cable(1, false)
	r.want("pulled", "down up")
	r.mute[0] = true
	r.cable(1, true)
	r.pass(time.Second)
	r.want("comes back mute", "down up")
	r.pass(10 * time.Second)
	r.want("is mute for longer than the wait", "down up")
	if m := r.member(1); m.Watch.Verdict != "down" || !strings.Contains(m.Reason, "eth2") {
		t.Errorf("%s: %q", m.Watch.Verdict, m.Reason)
	}
	r.mute[0] = false
	r.pass(time.Second)
	r.want("answers", "standby up")
}

// TestSilentMember: a member that loses its frames in either direction, with its link up, is first suspect, then out of
// use within 45 ms; the event says why, and since when it was noticed.
func TestSilentMember(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(*lanRig)
	}{
		{"sent", func(r *lanRig) { r.mute[1] = true }},
		{"received", func(r *lanRig) { r.deaf[1] = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.RoundRobin })
			r.plug(3)
			r.pass(2 * time.Second)
			r.move(0, 1, 2)
			r.pass(2 * time.Second)
			r.want("before", "up up up")
			r.events()
			var suspectAt, downAt, cause time.Time
			r.outs = func(o Output) {
				if suspectAt.IsZero() && r.l.members[1].suspect() {
					suspectAt = r.now
					if !o.ReadLinks {
						t.Error("the links are not read at once")
					}
				}
				if o.Plan != nil && downAt.IsZero() && !o.Plan.Distributing.Has(1) {
					downAt, cause = r.now, o.Cause
				}
			}
			lost := r.now
			tt.lose(r)
			r.pass(time.Second)
			r.want("after", "up down up")
			if d := downAt.Sub(lost); downAt.IsZero() || d > 45*time.Millisecond {
				t.Errorf("out of use after %v", d)
			}
			if suspectAt.IsZero() || cause != suspectAt {
				t.Errorf("noticed at %v, suspect at %v", cause.Sub(lost), suspectAt.Sub(lost))
			}
			log := r.events()
			if len(log) != 2 || !strings.HasPrefix(log[0],
				"member-down eth2: gateway 10.0.0.254 does not answer by eth2") ||
				!strings.HasPrefix(log[1], "team-degraded") {
				t.Errorf("events: %q", log)
			}
			if m := r.member(2); m.Failures != 1 || m.Watch.Verdict != "down" || m.Link != true {
				t.Errorf("%d failures, verdict %s, link %v", m.Failures, m.Watch.Verdict, m.Link)
			}
			clear(r.mute)
			clear(r.deaf)
			r.pass(2 * time.Second)
			r.want("works again", "up up up")
		})
	}
}

// TestTargetThatDies: who answers by no member takes none out of use. A warning says so, and the team stays up.
func TestTargetThatDies(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	r.plug(2)
	r.pass(time.Second)
	r.events()
	r.move(0, 1)
	r.down = true
	r.pass(time.Minute)
	r.want("without a target", "up up")
	r.wantEvents("a target that dies", "member-suspect eth1: gateway 10.0.0.254 missed an ask")
	if s := r.l.Status(); s.State != "up" || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0],
		gateway.String()) {
		t.Errorf("%s, warnings %q", s.State, s.Warnings)
	}
	r.down = false
	r.pass(15 * time.Second)
	if s := r.l.Status(); len(s.Warnings) != 0 {
		t.Errorf("warnings of a target that answers: %q", s.Warnings)
	}
}

// TestUseOfWhatDoesNotAnswer: a member that is down by its watches is used while no other has link.
func TestUseOfWhatDoesNotAnswer(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.move(0, 1)
	r.mute[0] = true
	r.pass(5 * time.Second)
	r.want("one is mute", "down up")
	r.events()
	r.cable(2, false)
	r.want("the other is pulled", "up down")
	if m := r.member(1); !strings.HasPrefix(m.Reason, "no other member is usable") {
		t.Errorf("reason: %q", m.Reason)
	}
	r.cable(2, true)
	r.pass(time.Second)
	r.want("the other is back", "down up")
	if m := r.member(1); m.Failures != 1 {
		t.Errorf("%d failures, of which one is real", m.Failures)
	}
	r.mute[0] = false
	r.pass(2 * time.Second)
	r.want("all work", "standby up")
}

// TestSuspicionEvents: what lasts is told, once in a while; what is cleared at once is not.
func TestSuspicionEvents(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.events()
	r.out.Events = nil
	m := r.l.members[0]
	tell := func(suspect bool) {
		if m.watch.State = monitor.Up; suspect {
			m.watch = monitor.Verdict{State: monitor.Suspect, Reason: "why"}
			m.suspectSince, m.suspectTold = r.now, false
		}
	}
	for i := range 100 { // every second, for 50 ms
		tell(true)
		r.now = r.now.Add(50 * time.Millisecond)
		r.l.tellSuspicions(r.now, &r.out)
		tell(false)
		r.now = r.now.Add(950 * time.Millisecond)
		if len(r.out.Events) != 0 {
			t.Fatalf("an event at the %d. suspicion that lasts 50 ms", i)
		}
	}
	for range 60 { // every second, for 200 ms
		tell(true)
		for range 4 {
			r.now = r.now.Add(50 * time.Millisecond)
			r.l.tellSuspicions(r.now, &r.out)
		}
		tell(false)
		r.now = r.now.Add(800 * time.Millisecond)
	}
	if len(r.out.Events) != 2 || r.out.Events[0].Event != "member-suspect" || r.out.Events[0].Reason != "why" {
		t.Errorf("%d events in a minute: %+v", len(r.out.Events), r.out.Events)
	}
}

// TestAsksOfAStandby: the member with the adapter's MAC stands by. It asks by another MAC, which its NIC accepts, so
// that the switch goes on sending the adapter's frames to the active member.
func TestAsksOfAStandby(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Primary = "eth2"; c.Mode = modes.ActiveBackup })
	own := linkOf(1)
	own.MAC = adapterMAC
	out := r.do(Reserve{Link: own})
	r.do(Joined{ID: out.ID, Link: own})
	r.join(2)
	r.sent(r.link(1, true))
	r.sent(r.link(2, true))
	r.pass(5 * time.Second)
	r.want("primary is eth2", "standby up")
	mac := monitor.AskMAC(adapterMAC)
	if !slices.Contains(r.plan.Filter[0], mac) {
		t.Errorf("the NIC of eth1 accepts %v, not %v", r.plan.Filter[0], mac)
	}
	if _, ours := slices.BinarySearch(r.plan.TeamMACs, mac); !ours || !slices.IsSorted(r.plan.TeamMACs) {
		t.Errorf("MACs of the team: %v, want %v among them, sorted", r.plan.TeamMACs, mac)
	}
	last := map[int]frame.MAC{}
	for _, a := range r.asked {
		last[a.member] = a.mac
	}
	if last[0] != mac || last[1] != linkOf(2).MAC {
		t.Errorf("eth1 asks by %v, eth2 by %v", last[0], last[1])
	}
	r.cable(2, false)
	r.pass(5 * time.Second)
	r.want("eth2 is pulled", "up down")
	if a := r.asked[len(r.asked)-1]; a.mac != adapterMAC {
		t.Errorf("the active one asks by %v", a.mac)
	}
}

// TestAsksOfADeadMemberOfELB: another member receives for the MAC of one that does not answer. It asks by another one,
// which its NIC may not accept, so now and then by its own one, and the switch is taught the right port at once.
func TestAsksOfADeadMemberOfELB(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.ELB })
	r.plug(2)
	r.pass(time.Second)
	r.move(0, 1)
	r.mute[1] = true
	r.pass(3 * time.Second)
	r.want("eth2 is mute", "up down")
	if !slices.Contains(r.plan.Filter[0], linkOf(2).MAC) {
		t.Fatalf("eth1 accepts %v", r.plan.Filter[0])
	}
	r.asked = nil
	var taught []time.Time
	r.outs = func(out Output) {
		for _, s := range out.Send {
			if s.Member == 0 && bytes.Equal(s.Frame, frame.RARP(linkOf(2).MAC, 0)) {
				taught = append(taught, r.now)
			}
		}
	}
	r.pass(30 * time.Second)
	byOwn := 0
	for _, a := range r.asked {
		if a.member == 1 && a.mac != monitor.AskMAC(linkOf(2).MAC) {
			byOwn++
			if !slices.ContainsFunc(taught, func(at time.Time) bool {
				return !at.Before(a.at) &&
					at.Sub(a.at) <= ownAskTime
			}) {
				t.Errorf("it asks by %v, and no learning frame follows", a.mac)
			}
		}
	}
	if byOwn < 3 || byOwn > 6 {
		t.Errorf("it asks by its own MAC %d times in 30 s", byOwn)
	}
	r.mute[1] = false
	r.pass(time.Second)
	r.want("it works again", "up up")
}

// TestAsksBeforeTheFirstUse: no peer sends to a member that was never used, so it asks by its own MAC, though another
// member would receive for that one: a switch whose ports allow one MAC each sees no other when a team begins.
func TestAsksBeforeTheFirstUse(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.ELB })
	r.mute[1] = true
	r.plug(2)
	r.pass(time.Second)
	r.want("eth2 waits", "up down")
	if !slices.Contains(r.plan.Filter[0], linkOf(2).MAC) {
		t.Fatalf("eth1 accepts %v", r.plan.Filter[0])
	}
	r.mute[1] = false
	r.pass(time.Second)
	r.want("eth2 answers", "up up")
	if len(r.asked) < 10 {
		t.Errorf("%d asks", len(r.asked))
	}
	for _, a := range r.asked {
		if a.mac != linkOf(a.member+1).MAC {
			t.Errorf("member %d asks by %v", a.member, a.mac)
		}
	}
}

// TestRenamedMemberKeepsItsVerdict.
func TestRenamedMemberKeepsItsVerdict(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.events()
	n := linkOf(1)
	n.Name = "lan0"
	r.input(Observed{NICs: []ObservedNIC{{Link: n}}})
	r.wantEvents("a renaming", "member-renamed lan0: was eth1")
}

// TestLinkWatchIsLive: a member that does not answer is used again once only its carrier counts.
func TestLinkWatchIsLive(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.mute[1] = true
	r.pass(10 * time.Second)
	r.want("mute", "up down")
	c := r.l.Config()
	c.LinkWatch = []string{"carrier"}
	if out := r.input(Change{c}); out.Err != nil {
		t.Fatal(out.Err)
	}
	r.pass(4 * time.Second)
	r.want("carrier alone", "up standby")
	if w := r.member(1).Watch; w != nil {
		t.Errorf("watch: %+v", w)
	}
	r.asked = nil
	r.pass(time.Minute)
	if len(r.asked) > 0 {
		t.Errorf("%d asks", len(r.asked))
	}
	c.LinkWatch = []string{"arp:" + gateway.String()}
	r.input(Change{c})
	r.pass(10 * time.Second)
	r.want("asked again", "up down")
}

// TestWatchesAfterTheEnd: after the farewell nothing is sent; a Resume goes on.
func TestWatchesAfterTheEnd(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.input(End{})
	r.asked = nil
	r.pass(10 * time.Second)
	if len(r.asked) > 0 {
		t.Errorf("%d asks after the end", len(r.asked))
	}
	r.input(Resume{})
	r.pass(10 * time.Second)
	if len(r.asked) < 10 {
		t.Errorf("%d asks in 10 s after the Resume", len(r.asked))
	}
	r.want("resumed", "up standby")
}

// TestMostInputsOfWatchesDecideNothing: they cost no new Status.
func TestMostInputsOfWatchesDecideNothing(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.RoundRobin })
	r.plug(2)
	r.pass(2 * time.Second)
	r.move(0, 1)
	all, decided := 0, 0
	r.outs = func(o Output) {
		if all++; !o.unchanged {
			decided++
		}
	}
	r.pass(10 * time.Second)
	if all < 2000 || decided > all/100 {
		t.Errorf("%d of %d inputs decide something", decided, all)
	}
}

// TestWatchesSurviveAPanic: new link watches begin with the verdicts of those before.
func TestWatchesSurviveAPanic(t *testing.T) {
	r := newLANRig(t, nil)
	r.plug(2)
	r.pass(time.Second)
	r.mute[1] = true
	r.pass(10 * time.Second)
	r.want("mute", "up down")
	r.events()
	r.l.recoverMode(r.l.plan)
	r.input(Tick{})
	r.pass(10 * time.Second)
	r.wantEvents("a panic", "active-changed eth1: eth1 was active before") // says the new mode
	r.want("after a panic", "up down")
	r.mute[1] = false
	r.pass(2 * time.Second)
	r.want("works again", "up standby")
}

// TestWatchesInACheckpoint: the next process goes on with the verdicts, and its first Plan is the one in force.
func TestWatchesInACheckpoint(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	r.plug(3)
	r.pass(time.Second)
	r.mute[1] = true
	r.pass(10 * time.Second)
	r.want("mute", "up down up")
	for _, without := range []bool{false, true} {
		c := r.l.Checkpoint(r.now)
		if without {
			c.Watches = nil // of a version without watches
		}
		c.Rebase(r.now.Add(time.Hour))
		l, err := NewLoop(r.l.cfg, LoopOptions{Adapter: adapterMAC, Salt: 42, Checkpoint: c})
		if err != nil {
			t.Fatal(err)
		}
		next := &lanRig{rig: &rig{t: t, l: l, now: r.now.Add(time.Hour)}, mute: map[int]bool{1: true}}
		next.input(WatchTargets{r.l.targets})
		if next.plan == nil || next.plan.Distributing != r.plan.Distributing && !without {
			t.Fatalf("without %v: first Plan %+v, want one that distributes by %b", without, next.plan,
				r.plan.Distributing)
		}
		next.pass(30 * time.Second)
		if !without {
			next.wantEvents("the next process")
		}
		next.want("the next process", "up down up")
		next.mute[1] = false
		next.pass(2 * time.Second)
		next.want("works again", "up up up")
	}
}

// TestProbeIDsDoNotTellTheSalt: nearby salts give ids that have nothing in common.
func TestProbeIDsDoNotTellTheSalt(t *testing.T) {
	if a, b := probeID(1), probeID(2); a == b || a^b < 1<<32 || a == 1 {
		t.Errorf("%x, %x", a, b)
	}
}

// TestSuspectIsInTheState: the mode knows of a suspicion as long as it lasts.
func TestSuspectIsInTheState(t *testing.T) {
	r := newLANRig(t, func(c *settings.Config) { c.Mode = modes.ELB })
	r.plug(2)
	r.pass(2 * time.Second)
	r.move(0, 1)
	r.pass(time.Second)
	var seen spread.MemberSet
	r.outs = func(o Output) {
		if o.Plan != nil {
			seen |= o.Plan.Suspect
		}
	}
	r.mute[1] = true
	r.pass(30 * time.Millisecond)
	r.mute[1] = false
	r.pass(200 * time.Millisecond)
	if seen != spread.MemberSet(0).With(1) || r.plan.Suspect != 0 {
		t.Errorf("suspect were %b, are %b", seen, r.plan.Suspect)
	}
}
