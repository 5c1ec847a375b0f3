package systest

import (
	"encoding/json"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/modes"
)

// queueDrops is how many frames queues on the way had no room for. Each holds what some 100 ms of a test's traffic are, so the
// machine has let whoever takes them out of it stand still for so long: the team's process, or the lab, which carries
// what TAP NICs send.
type queueDrops struct {
	adapter uint64 // out: the adapter's queue
	nics    uint64 // out: the queues of box's TAP NICs
	ports   uint64 // in: those of the switch's TAP NICs
	sockets uint64 // in: the members' sockets
}

// queueDrops reads the totals.
func (w *world) queueDrops() (r queueDrops) {
	w.t.Helper()
	r.adapter = txDropped(w.box, teamName)
	for _, wire := range w.wires {
		r.nics += txDropped(wire.A.Host(), wire.A.Name)
		r.ports += txDropped(wire.B.Host(), wire.B.Name)
	}
	s := api.Status{}
	if got := w.try("status", teamName, "--json"); got.Code == 0 && json.Unmarshal([]byte(got.Out), &s) == nil {
		for _, m := range s.Members {
			r.sockets += m.DropReasons["socket"]
		}
	}
	return r
}

// since is what was added since was was read. A NIC that was taken out begins anew.
func (r queueDrops) since(was queueDrops) queueDrops {
	sub := func(a, b uint64) uint64 { return a - min(a, b) }
	r.adapter, r.nics = sub(r.adapter, was.adapter), sub(r.nics, was.nics)
	r.ports, r.sockets = sub(r.ports, was.ports), sub(r.sockets, was.sockets)
	return r
}

// txDropped is how many frames a device's queue had no room for.
func txDropped(h *lab.Host, name string) uint64 {
	l, err := h.Handle().LinkByName(name)
	if err != nil || l.Attrs().Statistics == nil {
		return 0
	}
	return l.Attrs().Statistics.TxDropped
}

// stalled is how many frames of a stream waited while the machine let somebody on the way stand still, if that was for so long
// that it decides more than a change of members does: what waits in a member's socket for longer than members overlap is
// judged by the Plan of afterwards, and what waits before a NIC is overtaken by what leaves by another. 0 where the longest
// time without a frame was shorter, and with -soak.
func stalled(r lab.Report) uint64 {
	if *soak || r.Gap.Length < modes.Overlap/2 || r.Took == 0 {
		return 0
	}
	return uint64(float64(r.Sent) * r.Gap.Length.Seconds() / r.Took.Seconds())
}
