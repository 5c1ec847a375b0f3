package relay

import (
	"errors"
	"fmt"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
)

// Send sends a control frame by member id, whatever the Plan says. It does not wait behind what the adapter sends, and is
// not lost where that fills the member's queue. A marker asks whether what was sent before has arrived, so it
// leaves behind that.
func (r *Relay) Send(id int, b []byte) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("send by member %d: %w", id, ErrNoMember)
	}
	var h frame.Headers
	frame.Parse(b, &h)
	send := m.socket.Send
	if isMarker(&h, b) {
		send = m.socket.SendInOrder
	}
	tx := &r.accounts[id].tx
	if err := send(b); err != nil {
		tx.errors.Add(1)
		if errors.Is(err, nic.ErrDown) || errors.Is(err, nic.ErrGone) {
			r.news.suspected(id)
		}
		return err
	}
	tx.moved[h.Protocol].frames.Add(1)
	tx.moved[h.Protocol].bytes.Add(uint64(len(b)))
	return nil
}

// isMarker reports whether b is a marker, and not the answer to one: subtype 2, type 1 (802.1AX clause 6.5.3.3).
func isMarker(h *frame.Headers, b []byte) bool {
	return h.EtherType == frame.TypeSlow && h.VLANs == 0 && len(b) > 16 && b[14] == 2 && b[16] == 1
}
