package team

import (
	"errors"
	"time"

	"nicteam/modes"
)

// refused notes that a member's NIC takes in nothing for other addresses than its own, as Wi-Fi does not, so that the
// next Plan gives it none. The member is as good as before for everything else.
func (l *Loop) refused(now time.Time, in Refused, out *Output) {
	m := l.byID(in.ID)
	if m == nil || m.info.OwnMAC {
		return
	}
	m.info.OwnMAC, l.dirty = true, true
	l.event(out, now, "addresses-refused", m.link.Name, "it takes in frames for its own address only: "+in.Err.Error())
}

// yield has the Loop make another Plan for NICs that refuse addresses, and adds what is to be done because of it to
// out. It returns whether there is such a Plan, which is pending then. It does not return true for ever: each time a
// member more is known to refuse.
func (t *Team) yield(err error, out *Output) bool {
	var f *FilterError
	if !errors.As(err, &f) {
		return false
	}
	other := false
	for _, id := range f.Members {
		next := t.loop.Handle(time.Now(), Refused{ID: id, Err: f.Err})
		if next.Plan != nil {
			t.pending, other = next.Plan, true
		}
		out.join(next)
	}
	return other
}

// join adds what came later to o.
func (o *Output) join(later Output) {
	o.Send = append(o.Send, later.Send...)
	o.Carrier = later.Carrier
	if later.Tell != 0 {
		o.Tell |= later.Tell
		o.Via, o.As = later.Via, later.As
		if later.Tell&modes.TellBehind != 0 {
			o.Behind = later.Behind
		}
	}
	o.Events = append(o.Events, later.Events...)
	o.Poke = append(o.Poke, later.Poke...)
	if later.Cause.After(o.Cause) {
		o.Cause = later.Cause
	}
}
