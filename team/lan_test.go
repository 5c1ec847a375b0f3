// SPDX-License-Identifier: MIT

package team

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// lanRig is a rig whose members are on a LAN with a gateway that answers ARP probes after 200 µs.
type lanRig struct {
	*rig
	mute, deaf map[int]bool // by id: what it sends, or would receive, is lost
	down       bool         // the gateway
	unplugged  map[int]bool
	queue      []arrival
	asked      []asked
	moving     map[int]bool // members that send and receive 2000 frames a second as far as they can
	moved      Moved
	sampleAt   time.Time
	outs       func(Output) // is shown each output
}

type arrival struct {
	at     time.Time
	member int
	frame  []byte
}

// asked is an ARP probe that was sent.
type asked struct {
	at     time.Time
	member int
	mac    frame.MAC
}

var gateway = netip.MustParseAddr("10.0.0.254")

const gatewayMAC = frame.MAC(0x0200_0000_ff01)

func newLANRig(t testing.TB, change func(*settings.Config)) *lanRig {
	t.Helper()
	r := &lanRig{mute: map[int]bool{}, deaf: map[int]bool{}, moving: map[int]bool{}, unplugged: map[int]bool{}}
	r.rig = newRig(t, func(c *settings.Config) {
		c.LinkWatch = []string{"auto"}
		if change != nil {
			change(c)
		}
	})
	r.input(WatchTargets{monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}})
	return r
}

// input handles an input, and what it sends.
func (r *lanRig) input(in Input) Output {
	out := r.do(in)
	r.sent(out)
	return out
}

func (r *lanRig) sent(out Output) {
	if r.outs != nil {
		r.outs(out)
	}
	for _, s := range out.Send {
		r.transmit(s)
	}
}

// transmit lets the LAN handle a frame.
func (r *lanRig) transmit(s spread.Send) {
	var p frame.Probe
	if frame.ParseProbe(s.Frame, &p) && !r.mute[s.Member] && !r.unplugged[s.Member] {
		for _, m := range r.l.members {
			if m.link.MAC == p.Dst {
				r.deliver(m.id, s.Frame)
			}
		}
	}
	var n frame.Neighbour
	if !frame.ParseNeighbour(s.Frame, &n) || n.Op != frame.ARPRequest || n.About != gateway {
		return
	}
	r.asked = append(r.asked, asked{r.now, s.Member, n.Sender})
	if r.mute[s.Member] || r.unplugged[s.Member] || r.down {
		return
	}
	r.deliver(s.Member, arpAnswer(n.Sender))
}

func (r *lanRig) deliver(member int, f []byte) {
	if !r.deaf[member] && !r.unplugged[member] {
		r.queue = append(r.queue, arrival{r.now.Add(200 * time.Microsecond), member, f})
	}
}

// arpAnswer is the gateway's answer to an ARP probe.
func arpAnswer(to frame.MAC) []byte {
	b := make([]byte, 60)
	to.Put(b, 0)
	gatewayMAC.Put(b, 6)
	copy(b[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2})
	gatewayMAC.Put(b, 22)
	copy(b[28:], gateway.AsSlice())
	to.Put(b, 32)
	return b
}

// plug joins eth1 to eth<n> and gives them link.
func (r *lanRig) plug(n int) {
	r.t.Helper()
	for i := 1; i <= n; i++ {
		r.join(i)
		r.sent(r.link(i, true))
	}
}

// cable plugs eth<n> in or pulls it.
func (r *lanRig) cable(n int, up bool) {
	r.unplugged[n-1] = !up
	r.sent(r.link(n, up))
}

// pass lets time pass: deadlines, arrivals and samples of the counters.
func (r *lanRig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for i := 0; ; i++ {
		if i > 1_000_000 {
			r.t.Fatal("deadlines without end")
		}
		next, what := r.l.Deadline(), Input(Tick{})
		if len(r.moving) > 0 && (next.IsZero() || r.sampleAt.Before(next)) {
			next, what = r.sampleAt, nil
		}
		slices.SortStableFunc(r.queue, func(a, b arrival) int { return a.at.Compare(b.at) })
		if len(r.queue) > 0 && (next.IsZero() || !r.queue[0].at.After(next)) {
			a := r.queue[0]
			next, what = a.at, FromDatapath{Control{Kind: ControlFrame, Member: a.member, Frame: a.frame}}
		}
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(r.now) {
			r.now = next
		}
		switch what.(type) {
		case nil:
			r.input(r.count())
		case FromDatapath:
			r.queue = r.queue[1:]
			r.input(what)
		default:
			r.input(what)
			if next := r.l.Deadline(); !next.IsZero() && !next.After(r.now) {
				r.t.Fatalf("deadline %v is still due after its tick at %v", next, r.now)
			}
		}
	}
	r.now = end
}

// count is a sample of the counters, every 5 ms.
func (r *lanRig) count() Traffic {
	r.sampleAt = r.now.Add(5 * time.Millisecond)
	var t monitor.Traffic
	for id := range r.moving {
		if r.plan.Distributing.Has(id) {
			r.moved[id].TX += 10
			if !r.mute[id] && !r.deaf[id] {
				r.moved[id].RX += 10
			}
		}
		t.Members = append(t.Members, monitor.Moved{ID: id, TX: r.moved[id].TX, RX: r.moved[id].RX})
	}
	slices.SortFunc(t.Members, func(a, b monitor.Moved) int { return a.ID - b.ID })
	return Traffic{t}
}

// move lets members carry frames.
func (r *lanRig) move(ids ...int) {
	r.sampleAt = r.now
	for _, id := range ids {
		r.moving[id] = true
	}
}

// states lists the states of members.
func (r *lanRig) states() string {
	var all []string
	for _, m := range r.l.Status().Members {
		all = append(all, m.State)
	}
	return strings.Join(all, " ")
}

func (r *lanRig) want(what, states string) {
	r.t.Helper()
	if got := r.states(); got != states {
		r.t.Errorf("%s: members are %s, want %s; %+v", what, got, states, r.l.Status())
	}
}
