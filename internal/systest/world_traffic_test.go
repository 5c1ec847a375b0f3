// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// traffic is a stream each way between box and peer.
type traffic struct {
	t       testing.TB
	w       *world
	room    queueDrops   // at the beginning
	out, in *lab.Running // out: box → peer
}

// traffic starts a stream each way with the flows, rate and size of s. It is stopped at the end of the test at the
// latest.
func (w *world) traffic(s lab.Stream) *traffic {
	w.t.Helper()
	if *soak {
		var err error
		s.Witness, err = lab.StartWitness()
		labtest.Must(w.t, err)
		w.t.Cleanup(func() { labtest.Check(w.t, s.Witness.Close()) })
	}
	tr := &traffic{t: w.t, w: w, room: w.queueDrops()}
	s.From, s.To, s.Address = w.box, w.peer, peer4
	tr.out = labtest.Start(w.t, s)
	s.From, s.To, s.Address = w.peer, w.box, box4
	tr.in = labtest.Start(w.t, s)
	tr.awaitFrames(200)
	return tr
}

// awaitFrames waits until so many more frames have arrived each way.
func (tr *traffic) awaitFrames(frames uint64) {
	tr.t.Helper()
	for name, r := range map[string]*lab.Running{"box to peer": tr.out, "peer to box": tr.in} {
		want := r.Received() + frames
		labtest.Eventually(tr.t, fmt.Sprintf("%d frames from %s", frames, name), func() bool {
			return r.Received() >= want
		})
	}
}

// stop stops both streams and returns their reports, without the frames that full queues dropped.
func (tr *traffic) stop() (out, in lab.Report) {
	tr.t.Helper()
	// Each waits a while for lost frames.
	ended := make(chan error, 1)
	go func() {
		var err error
		in, err = tr.in.Stop()
		ended <- err
	}()
	out, err := tr.out.Stop()
	labtest.Must(tr.t, errors.Join(err, <-ended))
	r := tr.w.queueDrops().since(tr.room)
	tr.t.Logf("box → peer: %v", out)
	if n := min(r.adapter+r.nics, out.Lost); n > 0 {
		tr.t.Logf("%d of those lost are not the team's: %d had no room in the adapter's queue, %d in the NICs'", n,
			r.adapter, r.nics)
		out.Lost -= n
	}
	tr.t.Logf("peer → box: %v", in)
	if n := min(r.ports+r.sockets, in.Lost); n > 0 {
		tr.t.Logf("%d of those lost never reached the team: %d had no room in the switch's NICs, %d in the members' "+
			"sockets", n, r.ports, r.sockets)
		in.Lost -= n
	}
	return out, in
}

// lossBound is how many received frames may be lost or duplicated while the active member changes: none with a switch
// that learns. One that floods delivers each frame to both members, and those that wait in only one of the sockets at
// that moment are lost or arrive twice.
func (o worldOptions) lossBound(in lab.Report) uint64 {
	if o.Flooding {
		return in.Sent/20 + stalled(in)
	}
	return stalled(in)
}

// reorderedBound is how many frames may be reordered when the active member changes: those that wait in the old NIC, or
// for it, when the new one starts.
func reorderedBound(r lab.Report) uint64 { return r.Sent/50 + stalled(r) }

// gap returns the longest gap each way since then, without machine standstills, once frames flow again.
func (tr *traffic) gap(since time.Time) (out, in time.Duration) {
	tr.t.Helper()
	tr.awaitFrames(500)
	now := time.Now()
	o, _ := tr.out.GapWithin(since, now)
	i, _ := tr.in.GapWithin(since, now)
	return o.Net, i.Net
}

// identity is what a live change must not touch: ifindex, MAC and addresses of the adapter.
func (w *world) identity() string {
	w.t.Helper()
	a := link(w.t, w.box, teamName)
	return fmt.Sprint(a.Index, a.HardwareAddr, w.status().Adapter.Addresses)
}
