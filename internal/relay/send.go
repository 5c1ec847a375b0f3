package relay

import (
	"errors"
	"fmt"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
)

// Send sends a control frame by member id, whatever the Plan says. It does not wait behind what the adapter sends, and is
// not lost where that fills the member's queue. A marker does wait, and is sent in a moment: see markers.
func (r *Relay) Send(id int, b []byte) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("send by member %d: %w", id, ErrNoMember)
	}
	if isMarker(b) {
		return r.markers.add(r.clock.now(), m, b)
	}
	if s, ok := r.GuestIn(b); ok {
		r.guests.note(r.clock.now(), s)
	}
	return r.sent(id, b, m.socket.SendControl(b))
}

// GuestIn returns the guest that a control frame is sent in the name of, if any: a switch that floods brings it back as it
// does the guest's own.
func (r *Relay) GuestIn(b []byte) (s frame.Station, ok bool) {
	var h frame.Headers
	if !frame.Parse(b, &h) || h.Src == 0 || h.Src.Multicast() || r.rule.Load().IsOwn(h.Src) {
		return 0, false
	}
	return h.In(h.Src, b), true
}

// sent counts a control frame that was sent, or not: err says why.
func (r *Relay) sent(id int, b []byte, err error) error {
	tx := &r.accounts[id].tx
	if err != nil {
		tx.errors.Add(1)
		if errors.Is(err, nic.ErrDown) || errors.Is(err, nic.ErrGone) {
			r.news.suspected(id)
		}
		return err
	}
	var h frame.Headers
	frame.Parse(b, &h)
	tx.moved[h.Protocol].frames.Add(1)
	tx.moved[h.Protocol].bytes.Add(uint64(len(b)))
	return nil
}
