// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"

	"nicteam/internal/frame"
)

// coupled plays a partner with Open vSwitch's habits: it answers no markers, collects and distributes always together,
// and is in sync from the moment it has attached a port to the first system that it heard, without waiting.
type coupled struct {
	system SystemID
	fast   bool
	active bool
	ports  []coupledPort
}

type coupledPort struct {
	partner Info
	seen    Info
	heard   time.Time // zero: nobody
	next    time.Time
}

func newCoupled(n int, fast, active bool) *coupled {
	c := &coupled{system: SystemID{Priority: 32768, MAC: 0x02dd00000001}, fast: fast, active: active,
		ports: make([]coupledPort, n)}
	for i := range c.ports {
		c.ports[i].next = start
	}
	return c
}

func (c *coupled) attached(i int) bool {
	p := &c.ports[i]
	if p.heard.IsZero() {
		return false
	}
	for j := range c.ports {
		if q := &c.ports[j]; !q.heard.IsZero() {
			return p.partner.System == q.partner.System && p.partner.Key == q.partner.Key
		}
	}
	return false
}

func (c *coupled) actor(i int) Info {
	p := &c.ports[i]
	s := Aggregation
	if c.active {
		s |= Activity
	}
	if c.fast {
		s |= ShortTimeout
	}
	switch {
	case p.heard.IsZero():
		s |= Defaulted
	case c.attached(i):
		s |= Synchronization
		if p.partner.State.Has(Synchronization) {
			s |= Collecting | Distributing
		}
	}
	return Info{System: c.system, Key: 3, PortPriority: 32768, Port: uint16(i + 1), State: s}
}

func (c *coupled) timeout() time.Duration {
	if c.fast {
		return shortTimeout
	}
	return longTimeout
}

func (c *coupled) Receive(now time.Time, port int, b []byte) Out {
	d, err := ParsePDU(b)
	if err != nil {
		return Out{}
	}
	p := &c.ports[port]
	p.heard, p.partner, p.seen = now, d.Actor, d.Partner
	return c.Tick(now)
}

func (c *coupled) Tick(now time.Time) Out {
	var out Out
	for i := range c.ports {
		p := &c.ports[i]
		if !p.heard.IsZero() && now.Sub(p.heard) >= c.timeout() {
			p.heard, p.partner, p.seen = time.Time{}, Info{}, Info{}
		}
	}
	for i := range c.ports {
		p := &c.ports[i]
		me := c.actor(i)
		if !c.active && p.heard.IsZero() || p.seen == me && now.Before(p.next) {
			continue
		}
		d := PDU{Version: 1, Actor: me, Partner: p.partner}
		out.Send = append(out.Send, Send{Port: i, Frame: d.Frame(frame.MAC(0x02dd00000100 | i))})
		p.next, p.seen = now.Add(time.Second), me
		if !p.heard.IsZero() && !p.partner.State.Has(ShortTimeout) {
			p.next = now.Add(slowPeriodic)
		}
	}
	return out
}

func (c *coupled) Deadline() time.Time {
	var d time.Time
	for i := range c.ports {
		p := &c.ports[i]
		if c.active || !p.heard.IsZero() {
			if d.IsZero() || p.next.Before(d) {
				d = p.next
			}
		}
	}
	return d
}

func (c *coupled) sends(i int) bool { return c.actor(i).State.Has(Distributing) }

func TestCoupledPartner(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		fast, active           bool
		ownFast, ownPassive    bool
		negotiated, unanswered time.Duration
	}{
		{"both fast and active", true, true, true, false, 4 * time.Second, 3100 * time.Millisecond},
		{"it is slow", false, true, true, false, 4 * time.Second, 3100 * time.Millisecond},
		{"we are slow", true, true, false, false, 4 * time.Second, 91 * time.Second},
		{"both slow", false, true, false, false, 4 * time.Second, 91 * time.Second},
		{"it is passive", true, false, true, false, 4 * time.Second, 3100 * time.Millisecond},
		{"we are passive", true, true, true, true, 4 * time.Second, 3100 * time.Millisecond},
	} {
		a, c := newSide(0, 2), newCoupled(2, tt.fast, tt.active)
		w := newWire(t, a, c)
		a.w = w
		a.config.Fast, a.config.Passive = tt.ownFast, tt.ownPassive
		a.apply()
		both := func() bool { return uses(a.System, 0, 1) && c.sends(0) && c.sends(1) }
		if took := w.until(tt.negotiated, both); took > tt.negotiated {
			t.Errorf("%s: not negotiated in %v: %+v", tt.name, tt.negotiated, a.Status())
			continue
		}
		w.run(3 * time.Minute)
		if !both() {
			t.Errorf("%s: it did not last", tt.name)
		}
		w.drop = func(from, port int, _ []byte) bool { return from == 1 && port == 1 }
		if took := w.until(tt.unanswered, func() bool { return uses(a.System, 0) }); took > tt.unanswered {
			t.Errorf("%s: silence was not noticed in %v", tt.name, tt.unanswered)
		}
		w.run(time.Second)
		if c.sends(1) {
			t.Errorf("%s: it goes on sending by the port", tt.name)
		}
		w.drop = nil
		if took := w.until(35*time.Second, both); took > 4*time.Second {
			t.Errorf("%s: healed after %v", tt.name, took)
		}
		w.take(0, a.Flush(w.now, 0))
		if w.run(time.Second); len(w.flush[0]) > 0 || status(t, a.System, 0).Answers {
			t.Errorf("%s: it answered a marker", tt.name)
		}
		w.checkPace()
	}
}

func TestCoupledPartnerRestarts(t *testing.T) {
	for _, fast := range []bool{true, false} {
		a, c := newSide(0, 2), newCoupled(2, fast, true)
		w := newWire(t, a, c)
		a.w = w
		a.apply()
		both := func() bool { return uses(a.System, 0, 1) && c.sends(0) && c.sends(1) }
		for range 20 {
			if took := w.until(2*shortTimeout, both); took > 2*shortTimeout {
				t.Fatalf("fast %v: not healed within two timeouts: %+v", fast, a.Status())
			}
			w.run(7300 * time.Millisecond)
			*c = *newCoupled(2, fast, true)
		}
	}
}
