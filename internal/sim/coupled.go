// SPDX-License-Identifier: MIT

package sim

import (
	"cmp"
	"time"

	"nicteam/modes/lacp"
)

// coupled is an LACP actor that behaves as Open vSwitch (lib/lacp.c), written for tests only:
//
//   - coupled control: a port shows Collecting and Distributing as soon as it is attached, which is at once if its
//     partner has the system and key of the lead port's; whether it forwards follows the partner's SYNC alone;
//   - an expired port stays attached and shows SYNC;
//   - only changes of activity, timeout, sync, aggregation and identity are sent at once, others with the next PDU;
//   - without any partner, all ports show Collecting and Distributing;
//   - no limit on PDUs, no wait_while, and no answer to markers.
type coupled struct {
	system lacp.SystemID
	habits Habits
	ports  []coupledPort
	agreed bool // there is a partner
}

type coupledPort struct {
	config   lacp.PortConfig
	receive  lacp.Receive // CURRENT, EXPIRED or DEFAULTED
	partner  lacp.Info
	told     lacp.Info // our state, as in the partner's last PDU
	attached bool
	silent   time.Time // when the partner expires
	next     time.Time // when the next PDU is due
}

const (
	coupledFast = time.Second
	coupledSlow = 30 * time.Second
	coupledMiss = 3 // PDUs that may be lost
)

func (c *coupled) configure(now time.Time, h Habits, ports []lacp.PortConfig) lacp.Out {
	if c.habits.Fast && !h.Fast {
		for i := range c.ports {
			if p := &c.ports[i]; p.receive == lacp.ReceiveCurrent {
				p.silent = now.Add(coupledMiss * coupledSlow)
			}
		}
	}
	c.habits = h
	for i, config := range ports {
		if i == len(c.ports) {
			c.ports = append(c.ports, coupledPort{receive: lacp.ReceiveDefaulted})
		}
		p := &c.ports[i]
		if config.Up && !p.config.Up && (p.receive == lacp.ReceiveCurrent || !h.Passive) {
			p.expire(now)
			p.next = now
		}
		p.config = config
	}
	return c.run(now)
}

func (p *coupledPort) expire(now time.Time) {
	p.receive = lacp.ReceiveExpired
	p.partner.State = p.partner.State&^lacp.Synchronization | lacp.ShortTimeout
	p.silent = now.Add(coupledMiss * coupledFast)
}

func (c *coupled) receive(now time.Time, port int, b []byte) lacp.Out {
	pdu, err := lacp.ParsePDU(b)
	if p := &c.ports[port]; err == nil && p.config.Up {
		p.receive = lacp.ReceiveCurrent
		wait := coupledSlow
		if c.habits.Fast {
			wait = coupledFast
		}
		p.silent = now.Add(coupledMiss * wait)
		p.told, p.partner = pdu.Partner, pdu.Actor
	}
	return c.run(now)
}

func (c *coupled) tick(now time.Time) lacp.Out { return c.run(now) }

// run updates all ports, and sends the LACPDUs that are due.
func (c *coupled) run(now time.Time) (out lacp.Out) {
	for i := range c.ports {
		p := &c.ports[i]
		if p.receive == lacp.ReceiveDefaulted || now.Before(p.silent) {
			continue
		}
		if p.receive == lacp.ReceiveCurrent {
			p.expire(now)
		} else {
			p.receive, p.partner = lacp.ReceiveDefaulted, lacp.Info{}
		}
	}
	c.attach()
	for i := range c.ports {
		p := &c.ports[i]
		if c.habits.Passive && p.receive == lacp.ReceiveDefaulted || !p.config.Up {
			continue
		}
		actor := c.actor(p)
		if now.Before(p.next) && worthTelling(actor) == worthTelling(p.told) {
			continue
		}
		p.told = actor
		wait := coupledSlow
		if p.partner.State.Has(lacp.ShortTimeout) {
			wait = coupledFast
		}
		p.next = now.Add(wait)
		pdu := lacp.PDU{Version: 1, Actor: actor, Partner: p.partner}
		out.Send = append(out.Send, lacp.Send{Port: i, Frame: pdu.Frame(p.config.MAC)})
	}
	return out
}

// worthTelling reduces an Info to the fields whose change is sent at once.
func worthTelling(i lacp.Info) lacp.Info {
	i.State &= lacp.Activity | lacp.ShortTimeout | lacp.Synchronization | lacp.Aggregation
	return i
}

// attach chooses the lead port, and attaches the ports that match it.
func (c *coupled) attach() {
	var lead *coupledPort
	for i := range c.ports {
		p := &c.ports[i]
		p.attached = p.receive != lacp.ReceiveDefaulted && p.partner.System.MAC != c.system.MAC
		if p.attached && (lead == nil || c.rank(p, lead) < 0) {
			lead = p
		}
	}
	c.agreed = lead != nil
	for i := range c.ports {
		p := &c.ports[i]
		p.attached = p.attached && p.partner.Key == lead.partner.Key && p.partner.System.MAC == lead.partner.System.MAC
	}
}

// rank orders candidates for the lead port: working ports first, then by the priorities of the better system.
func (c *coupled) rank(p, o *coupledPort) int {
	works := func(p *coupledPort) int {
		if p.partner.State.Has(lacp.Synchronization) {
			return 0
		}
		return 1
	}
	decides := func(p *coupledPort) lacp.Info {
		ours := lacp.Info{System: c.system, PortPriority: p.config.Priority, Port: p.config.Number}
		if compareSystems(ours.System, p.partner.System) < 0 {
			return ours
		}
		return p.partner
	}
	a, b := decides(p), decides(o)
	return cmp.Or(cmp.Compare(works(p), works(o)), compareSystems(a.System, b.System),
		cmp.Compare(a.PortPriority, b.PortPriority), cmp.Compare(a.Port, b.Port))
}

func compareSystems(a, b lacp.SystemID) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.MAC, b.MAC))
}

// actor returns the actor information of a port.
func (c *coupled) actor(p *coupledPort) lacp.Info {
	i := lacp.Info{System: c.system, Key: 1 + c.habits.Key, PortPriority: p.config.Priority, Port: p.config.Number}
	for _, f := range []struct {
		flags lacp.State
		on    bool
	}{
		{lacp.Activity, !c.habits.Passive},
		{lacp.ShortTimeout, c.habits.Fast},
		{lacp.Aggregation, len(c.ports) > 1},
		{lacp.Synchronization, p.attached},
		{lacp.Collecting | lacp.Distributing, p.attached || !c.agreed},
		{lacp.Defaulted, p.receive == lacp.ReceiveDefaulted},
		{lacp.Expired, p.receive == lacp.ReceiveExpired},
	} {
		if f.on {
			i.State |= f.flags
		}
	}
	return i
}

func (c *coupled) deadline() (d time.Time) {
	soonest := func(t time.Time) {
		if d.IsZero() || t.Before(d) {
			d = t
		}
	}
	for i := range c.ports {
		p := &c.ports[i]
		if p.receive != lacp.ReceiveDefaulted {
			soonest(p.silent)
		}
		if p.config.Up && (!c.habits.Passive || p.receive != lacp.ReceiveDefaulted) {
			soonest(p.next)
		}
	}
	return d
}

func (c *coupled) does(port int) (collects, distributes bool) {
	if port >= len(c.ports) {
		return false, false
	}
	p := &c.ports[port]
	on := p.config.Up && p.attached && p.partner.State.Has(lacp.Synchronization)
	return on, on
}
