// SPDX-License-Identifier: MIT

package lacp

// mux is the state of a port's Mux.
func (w *world) mux(e plug) Mux { return w.systems[e.system].port(e.port).mux }

// held reports whether a port has something to say and may not yet, since it said so much in this second.
func (w *world) held(e plug) bool {
	s := w.systems[e.system]
	p := s.port(e.port)
	me := s.actorOf(p)
	u := p.urgencyOf(&me)
	return u != never && w.now.Before(p.allowed(u))
}
