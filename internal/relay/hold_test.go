// SPDX-License-Identifier: MIT

package relay

import (
	"net/netip"
	"testing"

	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// A relay that was stopped leaves what it has not read. One that is held moves nothing before its first Plan, and then
// all that waited: no frame is lost. Meanwhile functions run, and members come and go.
func TestStopAndHold(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.relay.Close())
	g.bridge()
	store := descriptorstest.New(t)
	open := func(hold bool) {
		t.Helper()
		r, err := New(Options{Adapter: g.adapter, Store: store, Hold: hold})
		labtest.Must(t, err)
		g.relay = r
		t.Cleanup(func() { labtest.Check(t, r.Close()) })
		g.join(0)
		g.join(1)
	}
	open(false)
	pl := g.plan(spread.RuleSingle)
	pl.Collecting, pl.Multicast = 1, 1
	g.apply(pl)
	out := labtest.Start(t, lab.Stream{From: g.host, To: g.peer, Address: netip.MustParseAddr("10.9.0.2"), Rate: 1000})
	in := labtest.Start(t, lab.Stream{From: g.peer, To: g.host, Address: netip.MustParseAddr("10.9.0.1"), Rate: 1000})
	await := func(what string, holds func() bool) { t.Helper(); labtest.Eventually(t, what, holds) }
	await("frames", func() bool { return out.Received() > 50 && in.Received() > 50 })

	g.relay.Stop()
	store.Next()
	moved := func() uint64 { return out.Received() + in.Received() }
	sent := func() uint64 { return out.Report().Sent + in.Report().Sent }
	var was uint64
	await("the last frames", func() bool { n := moved(); same := n == was; was = n; return same })
	open(true)
	until := sent() + 200
	await("more frames to wait", func() bool { return sent() > until })
	ran := 0
	labtest.Must(t, g.relay.DoWithPicker(func(*spread.Picker, int64) { ran++ }))
	_, err := g.relay.doInMember(0, func(*member) { ran++ })
	labtest.Must(t, err)
	labtest.Must(t, g.relay.Leave(1))
	g.join(1)
	if n := moved(); n != was || ran != 2 {
		t.Errorf("%d frames have passed while the relay was held; %d functions ran", n-was, ran)
	}
	g.apply(pl)
	for way, s := range map[string]*lab.Running{"out": out, "in": in} {
		rep, err := s.Stop()
		labtest.Must(t, err)
		if rep.Lost > 0 || rep.Duplicated > 0 || rep.Corrupt > 0 || rep.Reordered > 0 {
			t.Errorf("%s: %v", way, rep)
		}
	}
}

// A relay that never had a Plan can be closed.
func TestCloseWhileHeld(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.relay.Close())
	r, err := New(Options{Adapter: g.adapter, Hold: true})
	labtest.Must(t, err)
	g.relay = r
	g.join(0)
	labtest.Must(t, r.Close())
	labtest.Must(t, r.Close())
}
