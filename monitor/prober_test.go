// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
)

// With three members, probes alone tell who is at fault, and in which direction, whether each probe is delivered or
// most are noted.
func TestProbesDecide(t *testing.T) {
	for _, noting := range []bool{false, true} {
		testProbesDecide(t, noting)
	}
}

func testProbesDecide(t *testing.T, noting bool) {
	for _, spec := range []string{"probe", "auto"} {
		for _, n := range []int{3, 8} {
			for _, c := range []struct {
				name   string
				rate   float64
				tx, rx bool
				most   time.Duration
				reason string
			}{
				{"tx, busy", 1000, true, false, 60 * ms, "nobody hears eth1 ("},
				{"rx, busy", 1000, false, true, 60 * ms, "eth1 hears nobody ("},
				{"both, busy", 1000, true, true, 60 * ms, "eth1 neither sends nor receives"},
				{"tx, idle", 0, true, false, 3500 * ms, "nobody hears eth1 ("},
				{"rx, idle", 0, false, true, 3500 * ms, "eth1 hears nobody ("},
				{"both, idle", 0, true, true, 3500 * ms, "eth1 neither sends nor receives"},
			} {
				l := newLAN(t, n, spec)
				l.noting = noting
				l.sync()
				if c.rate > 0 {
					l.load(c.rate)
				}
				l.run(5*time.Second + 3*ms)
				l.want(Up, Up, Up)
				l.members[1].txDead, l.members[1].rxDead = c.tx, c.rx
				took := l.until(1, Down, c.most)
				if v := l.w.Verdict(1); !strings.HasPrefix(v.Reason, c.reason) {
					t.Errorf("%s, %d: reason %q, want %q", c.name, n, v.Reason, c.reason)
				} else {
					t.Logf("noting %v, %s of %d %s: %v, %s", noting, spec, n, c.name, took, v.Reason)
				}
				l.run(5 * time.Second)
				l.want(Up, Down, Up)
				if noted := l.noted > 0; noted != noting {
					t.Errorf("%d probes were noted", l.noted)
				}
				l.neverDown(0, 2)
				l.members[1].txDead, l.members[1].rxDead = false, false
				l.until(1, Up, 1500*ms)
				l.run(5 * time.Second)
				l.neverDown(0, 2)
				l.want(Up, Up, Up)
			}
		}
	}
}

// Two members cannot tell who of them is at fault: nobody is down unless another team answers one of them.
func TestTwoMembersProbe(t *testing.T) {
	for _, foreign := range []bool{false, true} {
		for _, rate := range []float64{0, 1000} {
			for _, dir := range []string{"tx", "rx"} {
				l := newLAN(t, 2, "probe")
				if foreign {
					l.host(Target{}).foreign = true
				}
				l.sync()
				if rate > 0 {
					l.load(rate)
				}
				l.run(5 * time.Second)
				l.want(Up, Up)
				if p := l.w.Verdict(0).Asked; len(p) != 1 || p[0].Spec.Kind != KindProbe || p[0].RTT == 0 {
					t.Errorf("asked %+v", p)
				}
				l.members[1].txDead, l.members[1].rxDead = dir == "tx", dir == "rx"
				if !foreign {
					l.run(time.Minute)
					l.neverDown()
					l.want(Unknown, Unknown)
					if w := l.w.Warnings(); len(w) != 1 ||
						!strings.HasPrefix(w[0], "the members do not hear each other, and no") {
						t.Errorf("%s: warnings %q", dir, w)
					}
				} else {
					most := 3500 * ms
					if rate > 0 {
						most = 60 * ms
					}
					took := l.until(1, Down, most)
					t.Logf("%s at %v: %v: %s", dir, rate, took, l.w.Verdict(1).Reason)
					l.run(time.Minute)
					l.want(Up, Down)
					l.neverDown(0)
				}
				l.members[1].txDead, l.members[1].rxDead = false, false
				l.run(12 * time.Second)
				l.want(Up, Up)
				if w := l.w.Warnings(); len(w) > 0 {
					t.Errorf("%s: warnings %q afterwards", dir, w)
				}
			}
		}
	}
}

// Members that a switch isolates from each other, or that it takes for one link, never hear each other: that is no
// reason to doubt any.
func TestMembersNeverHear(t *testing.T) {
	for _, spec := range []string{"probe", "auto"} {
		for _, n := range []int{2, 3} {
			l := newLAN(t, n, spec)
			if spec == "auto" {
				l.gateway(gw)
			}
			l.shut = true
			l.sync()
			l.load(1000)
			l.run(10 * time.Second)
			before := l.probes
			l.run(time.Minute)
			if p := l.probes - before; p > 61*n {
				t.Errorf("%s: %d probes in a minute that nobody hears", spec, p)
			}
			l.neverDown()
			for _, c := range l.changes {
				if c.state == Suspect {
					t.Errorf("%s: %+v", spec, c)
				}
			}
		}
	}
}

// A switch that isolates members from each other from some time on makes them suspect, and no more.
func TestMembersIsolated(t *testing.T) {
	l := newLAN(t, 3, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	l.shut = true
	before := l.asks[0]
	l.run(time.Minute)
	l.neverDown()
	l.want(Up, Up, Up)
	if n := l.asks[0] - before; n > 70 {
		t.Errorf("%d asks in a minute", n)
	}
}

// With 802.3ad nothing is sent: LACP watches.
func TestAggregated(t *testing.T) {
	for _, spec := range []string{"auto", "probe", "carrier"} {
		l := newLAN(t, 3, spec)
		c := l.w.cfg
		c.Aggregated = true
		l.w.Configure(l.now, c)
		l.gateway(gw)
		l.sync()
		l.load(1000)
		l.run(10 * time.Second)
		if l.sends > 0 || !l.w.Deadline().IsZero() {
			t.Errorf("%s: %d frames sent", spec, l.sends)
		}
		l.want(Unknown, Unknown, Unknown)
		if warns := l.w.Warnings(); (len(warns) == 1) != (spec == "probe") {
			t.Errorf("%s: warnings %q", spec, warns)
		}
	}
}

// Answers may arrive by another member than the one that asked, as a switch decides that takes members for one link.
func TestAnswersByOtherMembers(t *testing.T) {
	l := newLAN(t, 3, "arp:10.9.0.7")
	l.host(peer1)
	l.lag = true
	c := l.w.cfg
	c.Group = true
	l.w.Configure(l.now, c)
	l.sync()
	l.load(1000)
	l.run(10 * time.Second)
	l.want(Up, Up, Up)
	l.members[1].txDead, l.members[1].echo = true, true
	l.until(1, Down, 1500*ms)
	l.run(10 * time.Second)
	l.neverDown(0, 2)
	l.members[1].txDead = false
	l.until(1, Up, 1500*ms)
	l.run(10 * time.Second)

	l.members[1].rxDead = true // it is eth0 that gets no answer
	l.until(1, Down, 45*ms)
	const want = "eth1 hears nothing: answers of 10.9.0.7 to eth0 arrived by it"
	if v := l.w.Verdict(1); v.Reason != want {
		t.Errorf("reason %q, want %q", v.Reason, want)
	}
	l.run(30 * time.Second)
	l.want(Up, Down, Up)
	l.neverDown(0, 2)
	l.members[1].rxDead = false
	l.until(1, Up, 12*time.Second)
	l.run(10 * time.Second)
	l.neverDown(0, 2)
	l.want(Up, Up, Up)
}

// A team answers others that ask, and not more often than it must.
func TestAnswersOtherTeams(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.run(2 * time.Second)
	ask := frame.Probe{Op: frame.ProbeAsk, Dst: frame.Broadcast, Src: hostMAC + 50, Team: 5, From: 3, Seq: 9, Sent: 11}
	if !l.w.Receive(l.now, 1, ask.Frame()) {
		t.Error("a probe would reach the adapter")
	}
	want := frame.Probe{Op: frame.ProbeAnswer, Dst: ask.Src, Src: memberMAC(1), Team: 5, From: 3, Seq: 9, Sent: 11}
	var got frame.Probe
	if s := l.w.Sends(); len(s) != 1 || s[0].Member != 1 || !frame.ParseProbe(s[0].Frame, &got) || got != want {
		t.Fatalf("sent %v, read %+v, want %+v", s, got, want)
	}
	n := 0
	for range 100000 {
		l.w.Receive(l.now, 1, ask.Frame())
		n += len(l.w.Sends())
	}
	if n > answerRate {
		t.Errorf("%d answers to a flood", n)
	}
	for name, p := range map[string]frame.Probe{
		"an answer":    {Op: frame.ProbeAnswer, Dst: memberMAC(1), Src: hostMAC + 50, Team: 77, From: 1, Seq: 1},
		"a hello":      {Op: frame.ProbeHello, Dst: memberMAC(1), Src: hostMAC + 50, Team: 77, To: 1, Seq: 1},
		"our own ask":  {Op: frame.ProbeAsk, Dst: frame.Broadcast, Src: memberMAC(0), Team: 77},
		"a group asks": {Op: frame.ProbeAsk, Dst: memberMAC(1), Src: frame.Broadcast, Team: 5},
		"of no member": {Op: frame.ProbeHello, Dst: memberMAC(1), Src: hostMAC, Team: 77, From: 9, To: 1, Seq: 1},
		"from the future": {Op: frame.ProbeHello, Dst: memberMAC(1), Src: hostMAC, Team: 77, To: 1, Seq: 1,
			Sent: 1 << 62},
	} {
		if !l.w.Receive(l.now.Add(2*time.Second), 1, p.Frame()) || len(l.w.Sends()) > 0 {
			t.Errorf("%s: would reach the adapter, or was answered", name)
		}
	}
}

// A pair that lost one probe, and works again for no more than one, is asked about when it stops for good.
func TestPairFailsTwice(t *testing.T) {
	l := newLAN(t, 4, "probe")
	l.sync()
	l.run(5 * time.Second)
	l.members[1].rxDead = true
	l.until(1, Suspect, 1100*ms)
	l.members[1].rxDead = false
	l.until(1, Up, 400*ms)
	l.members[1].rxDead = true
	l.until(1, Down, 3500*ms)
	l.neverDown(0, 2, 3)
}
