// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A target that answers nobody is the problem, not the members. It is asked less and less, and everything is as before
// when it is back.
func TestTargetDead(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8} {
		for _, rate := range []float64{0, 1000} {
			l := newLAN(t, n, "gateway")
			h := l.gateway(gw)
			l.sync()
			if rate > 0 {
				l.load(rate)
			}
			l.run(5 * time.Second)
			h.dead = true
			l.run(5 * time.Second)
			if got := l.w.Warnings(); len(got) != 1 ||
				!strings.HasPrefix(got[0], "gateway 10.9.0.254 answers by no member") {
				t.Errorf("%d members: warnings %q", n, got)
			}
			before := l.asks[0]
			l.run(time.Minute)
			if asks := l.asks[0] - before; asks > 10 || asks < 5 {
				t.Errorf("%d members: %d asks in a minute by a member to a target that answers nobody", n, asks)
			}
			for id := range n {
				if s := l.state(id); s != Up {
					t.Errorf("%d members: eth%d is %v", n, id, s)
				}
			}
			h.dead = false
			l.run(11 * time.Second)
			if got := l.w.Warnings(); len(got) > 0 {
				t.Errorf("it is back: warnings %q", got)
			}
			l.neverDown()
			if n > 1 {
				l.members[0].rxDead = true
				l.until(0, Down, 3500*ms)
			}
		}
	}
}

// A member that was down while the target went away stays down until it is answered.
func TestDownWhileTargetDead(t *testing.T) {
	l := newLAN(t, 2, "auto")
	h := l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	l.members[1].rxDead = true
	l.until(1, Down, 45*ms)
	h.dead = true
	l.run(time.Minute)
	l.want(Up, Down)
	h.dead, l.members[1].rxDead = false, false
	l.run(12 * time.Second)
	l.want(Up, Up)
}

// Another default gateway: a member that is down is not used until that one has answered by it.
func TestGatewayChanges(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	l.members[1].txDead, l.members[1].rxDead = true, true
	l.until(1, Down, 45*ms)
	l.gateway(gw6)
	for range 100 {
		l.run(100 * ms)
		if s := l.state(1); s != Down {
			t.Fatalf("at %v: eth1 is %v", l.now.Sub(l.begin), s)
		}
	}
	l.members[1].txDead, l.members[1].rxDead = false, false
	l.until(1, Up, 500*ms)
	l.neverDown(0)
}

// The process stands still, again and again, for up to two seconds: that is nobody's death.
func TestOwnStandstill(t *testing.T) {
	for _, specs := range [][]string{{"auto"}, {"probe"}} {
		l := newLAN(t, 3, specs...)
		l.gateway(gw)
		l.sync()
		l.load(1000)
		l.run(2 * time.Second)
		for i := range 300 {
			l.standStill(time.Duration(1+i*7) * ms)
			l.run(time.Duration(1+i*7)*ms + time.Duration(i%40)*ms)
		}
		l.neverDown()
		l.run(10 * time.Second)
		if v := l.w.Verdict(1); v.RTT > ms {
			t.Errorf("round-trip time %v", v.RTT)
		}
		l.members[2].txDead = true
		l.until(2, Down, 45*ms)
	}
}

// Two gateways in two VLANs, of which a port lacks one.
func TestVLANMismatch(t *testing.T) {
	l := newLAN(t, 3, "auto")
	l.gateway(Target{gw.IP, 10}, Target{gw.IP, 20})
	l.members[2].vlans = []uint16{20}
	l.sync()
	l.until(2, Down, 3500*ms)
	if v := l.w.Verdict(2); !strings.HasPrefix(v.Reason, "gateway 10.9.0.254 (VLAN 20) does not answer by eth2") {
		t.Errorf("reason %q", v.Reason)
	}
	l.neverDown(0, 1)
	l.members[2].vlans = nil
	l.until(2, Up, 500*ms)
}

// A virtual router moves to another host, whose MAC it has from then on.
func TestRouterMoves(t *testing.T) {
	l := newLAN(t, 2, "auto")
	h := l.gateway(gw)
	l.sync()
	l.load(1000)
	for range 10 {
		l.run(5*time.Second + 7*ms)
		h.mac++
	}
	l.neverDown()
	l.want(Up, Up)
}

// A switch that answers ARP for everybody says nothing about a gateway that is gone, and does no harm.
func TestSwitchAnswersForEverybody(t *testing.T) {
	l := newLAN(t, 2, "auto")
	h := l.gateway(gw)
	l.host(peer1).everyone = true
	l.sync()
	l.load(1000)
	l.run(3 * time.Second)
	h.dead = true
	l.run(10 * time.Second)
	l.members[0].txDead = true
	l.until(0, Down, 45*ms)
	l.neverDown(1)
}

// While all is well a member asks once a second at most, and broadcasts only the first time.
func TestAsksAreFew(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		l := newLAN(t, 8, "auto")
		l.gateway(gw)
		l.sync()
		if rate > 0 {
			l.load(rate)
		}
		l.run(2 * time.Second)
		asks, bcasts, probes := l.asks[3], l.bcasts[3], l.probes
		l.run(time.Minute)
		if n := l.asks[3] - asks; n > 61 {
			t.Errorf("%v frames/s: %d asks in a minute", rate, n)
		}
		if n := l.bcasts[3] - bcasts; n > 0 {
			t.Errorf("%v frames/s: %d broadcasts", rate, n)
		}
		if n := l.probes - probes; rate == 0 && n > 0 || n > 8*100*61 {
			t.Errorf("%v frames/s: %d probes in a minute", rate, n)
		}
		l.want(Up, Up, Up, Up, Up, Up, Up, Up)
		if len(l.changes) != 16 {
			t.Errorf("%v frames/s: %d changes of verdicts: %v", rate, len(l.changes), l.changes)
		}
	}
}

// While all is well and nothing moves, the members ask together: this process wakes once a second, and not once for
// each of them, whoever is asked and whenever members and targets came.
func TestAsksAreTogether(t *testing.T) {
	for _, c := range []struct {
		name  string
		specs []string
		build func(*lan)
		wakes int // a second
	}{
		{"gateway", []string{"auto"}, func(l *lan) { l.gateway(gw) }, 1},
		{"two gateways, one later", []string{"auto"}, func(l *lan) {
			l.gateway(gw)
			l.run(3300 * ms)
			l.gateway(gw, gw6)
		}, 1},
		{"members come one by one", []string{"auto"}, func(l *lan) {
			l.gateway(gw)
			for id := range l.members {
				l.link(id, false)
			}
			for id := range l.members {
				l.run(time.Duration(id) * 170 * ms)
				l.link(id, true)
			}
		}, 1},
		{"probes, members come one by one", []string{"probe"}, func(l *lan) {
			for id := range l.members {
				l.link(id, false)
			}
			for id := range l.members {
				l.run(time.Duration(id) * 170 * ms)
				l.link(id, true)
			}
		}, 1},
		{"probes and a gateway", []string{"gateway", "probe"}, func(l *lan) {
			l.run(200 * ms)
			l.gateway(gw)
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLAN(t, 8, c.specs...)
			l.sync()
			c.build(l)
			l.sync()
			l.run(5 * time.Second)
			was, asks, probes := l.ticks, l.asks[3], l.probes
			l.run(time.Minute)
			if n := l.ticks - was; n > 61*c.wakes {
				t.Errorf("%d wakes in a minute", n)
			}
			if n := l.asks[3] - asks; n > 122 {
				t.Errorf("%d asks in a minute", n)
			}
			if n := l.probes - probes; n > 8*61 {
				t.Errorf("%d probes in a minute", n)
			}
			l.neverDown()
		})
	}
}

// An answer that takes long is no miss while nothing urges: nobody is asked more often because of it.
func TestSlowAnswersAreNoMiss(t *testing.T) {
	l := newLAN(t, 8, "auto")
	h := l.gateway(gw)
	l.sync()
	l.run(10 * time.Second)
	r := rand.New(rand.NewPCG(1, 2))
	asks := l.asks[3]
	for range 60 {
		h.delay = time.Duration(r.IntN(70)) * ms
		l.run(time.Second)
	}
	if n := l.asks[3] - asks; n > 61 {
		t.Errorf("%d asks in a minute", n)
	}
	l.neverDown()
}

// Silence that is none of the member's: it is asked, and less and less often.
func TestWrongSuspicionBacksOff(t *testing.T) {
	l := newLAN(t, 2, "gateway")
	l.gateway(gw)
	l.sync()
	l.members[0].tx, l.members[0].rx = 1000, 1000
	l.members[1].tx, l.members[1].rx = 1000, 0
	l.sampling(5 * ms)
	l.run(2 * time.Second)
	before := l.asks[1]
	for range 600 {
		l.members[1].rx = 1000 // for a moment, so that the next silence is new
		l.run(60 * ms)
		l.members[1].rx = 0
		l.run(40 * ms)
	}
	if n := l.asks[1] - before; n > 80 {
		t.Errorf("%d asks in a minute", n)
	}
	l.neverDown()
}

// Segments that are sent again make all suspect that sent.
func TestRetransmissions(t *testing.T) {
	l := newLAN(t, 3, "gateway")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	l.members[1].txDead = true // it hears others all the time
	l.run(15 * ms)
	l.resent += 3
	took := l.until(1, Down, 45*ms)
	t.Logf("down %v after the third", took)
	l.neverDown(0, 2)
	l.run(30 * time.Second)
	before := l.asks[0]
	for range 600 {
		l.resent += 5
		l.run(100 * ms)
	}
	if n := l.asks[0] - before; n > 85 {
		t.Errorf("%d asks in a minute in which segments are lost elsewhere", n)
	}
	l.neverDown(0, 2)
}

// The reason names the target, the members and the count.
func TestReasons(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	if v := l.w.Verdict(1); v.State != Up || v.Reason != "" || v.RTT != 250*time.Microsecond || v.Loss != 0 ||
		len(v.Asked) != 1 || !v.Asked[0].Answers || v.Asked[0].IP != gw.IP || v.Asked[0].Spec.Kind != KindAuto ||
		l.now.Sub(v.Asked[0].Last) > time.Second {
		t.Errorf("up: %+v", v)
	}
	l.members[1].rxDead = true
	l.until(1, Down, 45*ms)
	const want = "gateway 10.9.0.254 does not answer by eth1 (3 of 3 asks), it does by eth0"
	if v := l.w.Verdict(1); v.Reason != want || v.Asked[0].Answers || !v.Since.Equal(l.now) || v.Loss == 0 {
		t.Errorf("down: %+v, want %q", v, want)
	}
}

func TestParseSpec(t *testing.T) {
	for _, s := range []string{"auto", "carrier", "gateway", "probe", "arp:10.0.0.1", "nd:fe80::1", "nd:fd00::1"} {
		if got, err := ParseSpec(s); err != nil || got.String() != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"":                    "unknown, want auto, carrier, gateway, arp:IP, nd:IP or probe",
		"icmp:10.0.0.1":       "unknown, want auto, carrier, gateway, arp:IP, nd:IP or probe",
		"auto:10.0.0.1":       "auto has no address",
		"arp":                 "address missing, want arp:IP",
		"arp:":                "address missing, want arp:IP",
		"arp:ten":             `"ten" is not an IPv4 address`,
		"arp:10.0.0.1/24":     `"10.0.0.1/24" is not an IPv4 address`,
		"arp:fe80::1":         "want an IPv4 address, nd:fe80::1 asks this one",
		"nd:10.0.0.1":         "want an IPv6 address, arp:10.0.0.1 asks this one",
		"nd:fe80::1%eth0":     "is not an IPv6 address",
		"arp:224.0.0.1":       "224.0.0.1 is not the address of one host on the LAN",
		"arp:255.255.255.255": "is not the address of one host",
		"arp:0.0.0.0":         "is not the address of one host",
		"nd:ff02::1":          "is not the address of one host",
		"nd:::1":              "is not the address of one host",
	} {
		if _, err := ParseSpec(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
	if kinds := WatchKinds(); !slices.ContainsFunc(kinds, func(k WatchKind) bool { return k.Usage() == "arp:IP" }) {
		t.Errorf("kinds %v", kinds)
	}
}
