// SPDX-License-Identifier: MIT

package lacp

import "time"

// Flush sends a marker by a port with a partner. When Out.Flushed names the port, all frames that it sent before have
// arrived. A partner that has answered no marker yet gets one, too: that shows whether it answers.
func (s *System) Flush(now time.Time, port int) Out {
	var out Out
	s.now = now
	p := s.port(port)
	if p == nil || !p.heard() || !p.markersOut.Take(now, pduRate) {
		return out
	}
	s.transaction++
	if s.transaction == 0 {
		s.transaction++
	}
	p.markerSent = s.transaction
	m := Marker{Port: p.Number, System: s.config.System.MAC, Transaction: p.markerSent}
	out.Send = append(out.Send, Send{Port: p.ID, Frame: m.Frame(p.MAC)})
	p.counters.MarkersOut++
	return out
}

// receiveMarker answers marker information by the port that received it, and reports responses in Out.Flushed.
func (s *System) receiveMarker(now time.Time, p *port, m Marker, out *Out) {
	p.counters.MarkersIn++
	if !m.Response {
		m.Response = true
		out.Send = append(out.Send, Send{Port: p.ID, Frame: m.Frame(p.MAC)})
		p.counters.MarkersOut++
		return
	}
	if !s.answersOurs(p, &m) {
		return
	}
	p.markerSent = 0
	p.answersMarkers = true
	out.Flushed = append(out.Flushed, p.ID)
}

// answersOurs reports whether a marker is the response to our last one.
func (s *System) answersOurs(p *port, m *Marker) bool {
	return m.Response && p.markerSent != 0 && m.Transaction == p.markerSent &&
		m.Port == p.Number && m.System == s.config.System.MAC
}
