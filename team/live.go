package team

import (
	"context"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// Status is the state as it is now, counters included. It may be called from any goroutine; the
// result is the caller's.
func (t *Team) Status() *api.Status {
	v := t.view.Load()
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
		s.Members[i].RX, s.Members[i].TX, s.Members[i].DropReasons = m.shown()
	}
	for i := range c.Members {
		rx, tx, _ := c.Members[i].shown()
		s.RX.Add(rx.Count)
		s.TX.Add(tx.Count)
	}
	addPanics(&s, t.o.Panics.List())
	return &s
}

// Members are the members as the control loop knows them, without counters.
func (t *Team) Members() []api.Member {
	return append([]api.Member{}, t.view.Load().status.Members...)
}

// counters reads the totals of the data path.
func (t *Team) counters() *Counters {
	var c Counters
	t.o.Datapath.Counters(&c)
	return &c
}

// since are the counters less what they were when the member joined. A data path that begins anew
// with each member has nothing to be taken off.
func (m MemberCounters) since(base *MemberCounters) MemberCounters {
	if base == nil {
		return m
	}
	for p := range m.RX {
		m.RX[p] = frame.Count{Bytes: less(m.RX[p].Bytes, base.RX[p].Bytes), Frames: less(m.RX[p].Frames, base.RX[p].Frames)}
		m.TX[p] = frame.Count{Bytes: less(m.TX[p].Bytes, base.TX[p].Bytes), Frames: less(m.TX[p].Frames, base.TX[p].Frames)}
	}
	for d := range m.RXDrop {
		m.RXDrop[d] = less(m.RXDrop[d], base.RXDrop[d])
		m.TXDrop[d] = less(m.TXDrop[d], base.TXDrop[d])
	}
	m.RXError, m.TXError = less(m.RXError, base.RXError), less(m.TXError, base.TXError)
	m.Resent, m.Segmented = less(m.Resent, base.Resent), less(m.Segmented, base.Segmented)
	m.Flooded = less(m.Flooded, base.Flooded)
	return m
}

// less is now - was of a total that may have begun anew.
func less(now, was uint64) uint64 {
	if now < was {
		return now
	}
	return now - was
}

// shown are the counters as a Status shows them: drops that are part of healthy work appear only
// among the reasons.
func (m *MemberCounters) shown() (rx, tx api.MemberCount, reasons map[string]uint64) {
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
	v := t.view.Load()
	if v.plan == nil {
		return spread.Explanation{Member: -1, IfDead: -1, Why: "the team has no Plan yet", IfDeadWhy: "the team has no Plan yet"}
	}
	var flows *spread.FlowTable
	if seen := new(spread.FlowTable); v.plan.Rule == spread.RuleShortest && t.o.Datapath.Flows(seen) {
		flows = seen
	}
	return spread.Explain(v.plan, flows, v.name, f)
}

// Peers are the peers that the mode steers, by address; none in modes that steer none.
func (t *Team) Peers(ctx context.Context) ([]steer.Peer, error) {
	out, err := t.post(ctx, request{in: AskPeers{}})
	return out.Peers, err
}

// MemberName is the name of the member with that id, "" when there is none.
func (t *Team) MemberName(id int) string { return t.view.Load().name(id) }

func (v *view) name(id int) string {
	for i := range v.ids {
		if v.ids[i] == id {
			return v.status.Members[i].Name
		}
	}
	return ""
}
