// SPDX-License-Identifier: MIT

package modes

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

// forged is an LACPDU of a forger who reads the whole LAN.
func forged(draw *rapid.T, w *wired, id int) []byte {
	st := Agreed(w.m)
	var ours, theirs lacp.Info
	for i := range st.Ports {
		if p := &st.Ports[i]; p.ID == id {
			ours, theirs = p.Actor, p.Partner
		}
	}
	const healthy = lacp.Activity | lacp.ShortTimeout | lacp.Aggregation | lacp.Synchronization | lacp.Collecting |
		lacp.Distributing
	d := lacp.PDU{Version: 1, Actor: theirs, Partner: ours}
	if d.Actor.System.MAC == 0 {
		d.Actor = lacp.Info{System: lacp.SystemID{Priority: 1, MAC: 0x02dd00000000}, Key: 5, Port: 1, PortPriority: 1}
	}
	switch rapid.IntRange(0, 5).Draw(draw, "what") {
	case 0:
		d.Actor.System.MAC ^= 0xff
	case 1:
		d.Actor.System.Priority = 0
	case 2:
		d.Actor.Key++
	case 3:
		d.Actor.Port++
	case 4:
		d.Actor = ours
	}
	d.Actor.State = rapid.SampledFrom([]lacp.State{healthy, healthy &^ lacp.ShortTimeout,
		healthy &^ lacp.Synchronization, lacp.Activity, lacp.Defaulted | lacp.Expired, 0}).Draw(draw, "state")
	if rapid.Bool().Draw(draw, "knows nobody") {
		d.Partner = lacp.Info{}
	}
	return d.Frame(frame.MAC(0x02dd00000100))
}

// One LACPDU that is no partner's, whatever it says, takes nothing out of use and brings nothing into use, with balance
// on and off, whether there is a partner or one member works alone.
func TestAggregationForgedPDU(t *testing.T) {
	for _, c := range []struct {
		name     string
		switches int
		set      func(*State)
		want     []int
	}{
		{"agreed", 1, nil, []int{0, 1, 2}},
		{"agreed, slow", 1, func(st *State) { st.Settings.LACP.Fast = false }, []int{0, 1, 2}},
		{"balance off", 1, func(st *State) { off(st); st.Settings.Primary = "eth1" }, []int{1}},
		{"bandwidth", 1, func(st *State) { st.Settings.LACP.Select = lacp.Bandwidth }, []int{0, 1, 2}},
		{"nobody answers", 0, nil, []int{0}},
		{"nobody answers, slow", 0, func(st *State) { st.Settings.LACP.Fast = false }, []int{0}},
		{"nobody answers, balance off", 0, func(st *State) { off(st); st.Settings.Primary = "eth1" }, []int{1}},
		{"no fallback", 0, func(st *State) { st.Settings.LACP.Fallback = false }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(draw *rapid.T) {
				w := wire(draw, 3, c.switches, c.set)
				w.run(10 * time.Second)
				w.want(0, c.want...)
				id := rapid.IntRange(0, 2).Draw(draw, "member")
				w.run(time.Duration(rapid.IntRange(0, 40_000).Draw(draw, "when")) * time.Millisecond)
				w.handle(Received{Member: id, Frame: forged(draw, w, id)})
				var want spread.MemberSet
				for _, id := range c.want {
					want = want.With(id)
				}
				w.until(100*time.Second, func() bool {
					if got := w.m.Plan().Distributing; got != want {
						draw.Fatalf("%b send, want %b: %s", got, want, w.words())
					}
					return false
				})
			})
		})
	}
}
