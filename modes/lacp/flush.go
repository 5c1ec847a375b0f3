package lacp

import "time"

// Flush sends a marker by a port that has a partner. When Flushed tells of the port, what was sent by it before has
// arrived. A partner that answers no markers is asked all the same, because that is how it is found out.
func (s *System) Flush(now time.Time, port int) Out {
	var out Out
	s.now = now
	p := s.port(port)
	if p == nil || !p.heard() || !p.questions.Take(now, pduRate) {
		return out
	}
	s.transaction++
	if s.transaction == 0 {
		s.transaction++
	}
	p.asked = s.transaction
	m := Marker{Port: p.Number, System: s.config.System.MAC, Transaction: p.asked}
	out.Send = append(out.Send, Send{Port: p.ID, Frame: m.Frame(p.MAC)})
	p.counters.MarkersOut++
	return out
}

// mark takes in a marker: questions are answered by the port they came by, answers are told of.
func (s *System) mark(now time.Time, p *port, m Marker, out *Out) {
	p.counters.MarkersIn++
	if !m.Response {
		m.Response = true
		out.Send = append(out.Send, Send{Port: p.ID, Frame: m.Frame(p.MAC)})
		p.counters.MarkersOut++
		return
	}
	if !s.answers(p, &m) {
		return
	}
	p.asked = 0
	p.answers = true
	out.Flushed = append(out.Flushed, p.ID)
}

// answers reports whether a marker is the answer to the last question.
func (s *System) answers(p *port, m *Marker) bool {
	return m.Response && p.asked != 0 && m.Transaction == p.asked && m.Port == p.Number && m.System == s.config.System.MAC
}
