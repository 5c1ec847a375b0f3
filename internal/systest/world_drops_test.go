// SPDX-License-Identifier: MIT

package systest

import (
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/modes"
)

// queueDrops counts frames dropped by full queues. A queue holds about 100 ms of a test's traffic, so a drop means that
// the machine did not run the reader for so long: the team's process, or the lab that carries frames of TAP NICs.
type queueDrops struct {
	adapter uint64 // transmit: the adapter's queue
	nics    uint64 // transmit: box's TAP NICs
	ports   uint64 // receive: the switch's TAP NICs
	sockets uint64 // receive: the members' sockets
}

// queueDrops reads the counters.
func (w *world) queueDrops() (r queueDrops) {
	w.t.Helper()
	r.adapter = txDropped(w.box, teamName)
	for _, wire := range w.wires {
		r.nics += txDropped(wire.A.Host(), wire.A.Name)
		r.ports += txDropped(wire.B.Host(), wire.B.Name)
	}
	if s, err := tryAsk(w.box, teamName, (*control.Client).Status); err == nil {
		for _, m := range s.Members {
			r.sockets += m.DropReasons["socket"]
		}
	}
	return r
}

// since returns the increase. The counters of a NIC that was removed restart at 0.
func (r queueDrops) since(was queueDrops) queueDrops {
	sub := func(a, b uint64) uint64 { return a - min(a, b) }
	r.adapter, r.nics = sub(r.adapter, was.adapter), sub(r.nics, was.nics)
	r.ports, r.sockets = sub(r.ports, was.ports), sub(r.sockets, was.sockets)
	return r
}

// txDropped returns the frames that a device dropped because its transmit queue was full.
func txDropped(h *lab.Host, name string) uint64 {
	l, err := h.Handle().LinkByName(name)
	if err != nil || l.Attrs().Statistics == nil {
		return 0
	}
	return l.Attrs().Statistics.TxDropped
}

// stalled returns the number of frames of a stream that waited while the machine did not run somebody on their way, if
// that lasted long enough to matter more than a change of members: frames that wait in a member's socket longer than
// members overlap meet the next Plan, and frames that wait before a NIC are overtaken by those of another. It returns 0
// if the longest gap was shorter, and with -soak. A sender that stood still catches up, so they come at its full rate.
func stalled(r lab.Report) uint64 {
	if *soak || r.Gap.Length < modes.Overlap/2 {
		return 0
	}
	return uint64(float64(r.Rate) * r.Gap.Length.Seconds())
}
