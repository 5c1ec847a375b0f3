// SPDX-License-Identifier: MIT

package team

import (
	"context"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// Status returns the status with counters. Any goroutine may call it; the result is the caller's.
func (t *Team) Status() *api.Status {
	v := t.snapshot.Load()
	s := *v.status
	s.Warnings = append([]string{}, s.Warnings...)
	s.Members = append([]api.Member{}, s.Members...)
	if t.o.AdapterInfo != nil {
		known := s.Adapter
		s.Adapter = t.o.AdapterInfo()
		s.Adapter.SpeedBps, s.Adapter.KernelCounts = known.SpeedBps, known.KernelCounts
		if s.Adapter.MAC == "" {
			s.Adapter.MAC = known.MAC
		}
		if s.Adapter.Addresses == nil {
			s.Adapter.Addresses = []string{}
		}
	}
	if s.Adapter.Name == "" {
		s.Adapter.Name = s.Team
	}
	s.Adapter.Carrier = t.carrierOn.Load()

	c := t.counters()
	for i, id := range v.ids {
		m := c.Members[id].since(v.base[id])
		s.Members[i].RX, s.Members[i].TX, s.Members[i].DropReasons = m.summary()
	}
	for i := range c.Members {
		rx, tx, _ := c.Members[i].summary()
		s.RX.Add(rx.Count)
		s.TX.Add(tx.Count)
	}
	addPanics(&s, t.o.Panics.List())
	return &s
}

// Published returns the status as the control loop last published it: without counters and panics, the adapter as it
// was then. It asks neither the kernel nor the data path, and is read-only.
func (t *Team) Published() *api.Status { return t.snapshot.Load().status }

// Members returns the members of the status, without counters.
func (t *Team) Members() []api.Member {
	return append([]api.Member{}, t.snapshot.Load().status.Members...)
}

// counters reads the totals of the data path.
func (t *Team) counters() *Counters {
	var c Counters
	t.o.Datapath.Counters(&c)
	return &c
}

// since returns the counters minus base, what they were when the member joined. base is nil for a data path that starts
// at zero with each member.
func (m MemberCounters) since(base *MemberCounters) MemberCounters {
	if base == nil {
		return m
	}
	for p := range m.RX {
		m.RX[p] = frame.Count{Bytes: counterDiff(m.RX[p].Bytes, base.RX[p].Bytes),
			Frames: counterDiff(m.RX[p].Frames, base.RX[p].Frames)}
		m.TX[p] = frame.Count{Bytes: counterDiff(m.TX[p].Bytes, base.TX[p].Bytes),
			Frames: counterDiff(m.TX[p].Frames, base.TX[p].Frames)}
	}
	for d := range m.RXDrop {
		m.RXDrop[d] = counterDiff(m.RXDrop[d], base.RXDrop[d])
		m.TXDrop[d] = counterDiff(m.TXDrop[d], base.TXDrop[d])
	}
	m.RXError, m.TXError = counterDiff(m.RXError, base.RXError), counterDiff(m.TXError, base.TXError)
	m.Resent, m.Segmented = counterDiff(m.Resent, base.Resent), counterDiff(m.Segmented, base.Segmented)
	m.Flooded = counterDiff(m.Flooded, base.Flooded)
	return m
}

// counterDiff is now - was of a total that may have been reset.
func counterDiff(now, was uint64) uint64 {
	if now < was {
		return now
	}
	return now - was
}

// summary returns the counters for the Status. Expected drops appear only among the reasons.
func (m *MemberCounters) summary() (rx, tx api.MemberCount, reasons map[string]uint64) {
	for p := range m.RX {
		rx.Count.Add(m.RX[p])
		tx.Count.Add(m.TX[p])
	}
	for d := range Drop(Drops) {
		if !d.Expected() {
			rx.Drops += m.RXDrop[d]
			tx.Drops += m.TXDrop[d]
		}
		if n := m.RXDrop[d] + m.TXDrop[d]; n > 0 {
			if reasons == nil {
				reasons = map[string]uint64{}
			}
			reasons[d.String()] = n
		}
	}
	rx.Errors, tx.Errors = m.RXError, m.TXError
	return rx, tx, reasons
}

// Explain says which member carries a flow, and why.
func (t *Team) Explain(f spread.Flow) spread.Explanation {
	v := t.snapshot.Load()
	if v.plan == nil {
		return spread.Explanation{Member: -1, IfDead: -1, Why: "the team has no Plan yet",
			IfDeadWhy: "the team has no Plan yet"}
	}
	var flows *spread.FlowTable
	if seen := new(spread.FlowTable); v.plan.Rule == spread.RuleShortest && t.o.Datapath.Flows(seen) {
		flows = seen
	}
	e := spread.Explain(v.plan, flows, v.name, f)
	e.StandIn(v.plan, flows, t.o.Datapath.Dead(), v.name)
	return e
}

// Peers returns the peers that the mode steers, by address; none in other modes.
func (t *Team) Peers(ctx context.Context) ([]steer.Peer, error) {
	out, err := t.post(ctx, request{in: ListPeers{}})
	return out.Peers, err
}

// MemberName returns the name of a member id, "" for none.
func (t *Team) MemberName(id int) string { return t.snapshot.Load().name(id) }

func (v *snapshot) name(id int) string {
	for i := range v.ids {
		if v.ids[i] == id {
			return v.status.Members[i].Name
		}
	}
	return ""
}
