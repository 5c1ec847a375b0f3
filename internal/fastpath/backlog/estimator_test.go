// SPDX-License-Identifier: MIT

package backlog

import (
	"math/rand/v2"
	"testing"
	"time"

	"nicteam/modes/spread"
)

// simulatedNIC is a NIC with its qdisc that transmit super-frames.
type simulatedNIC struct {
	rate   float64 // bytes/s on the wire
	limit  int     // bytes in the qdisc
	ring   int     // bytes in the NIC
	whole  bool    // counts segments
	lazy   time.Duration
	others float64 // bytes/s that others transmit

	now            time.Duration
	queue          []parcel
	queued, inside float64
	sent           float64 // as it counts
	told           float64
	toldAt         time.Duration
	dropped        uint32
	given          TxTotals
	refused        float64 // bytes
	owed           float64
	passed         float64
}

type parcel struct {
	bytes, octets float64
	foreign       bool
}

// superFrame is one of 43 frames.
var superFrame = parcel{bytes: 43*66 + 43*1448, octets: 66 + 43*1448}

func (n *simulatedNIC) put(p parcel) {
	if !p.foreign {
		n.given.WireBytes += uint64(p.bytes)
		n.given.SKBBytes += uint64(p.octets)
	}
	if n.queued+p.bytes > float64(n.limit) {
		n.dropped++
		n.refused += p.bytes
		return
	}
	n.queue = append(n.queue, p)
	n.queued += p.bytes
}

// step is a millisecond.
func (n *simulatedNIC) step() {
	n.now += time.Millisecond
	n.owed += n.others / 1000
	for ; n.owed >= 1514; n.owed -= 1514 {
		n.put(parcel{1514, 1514, true})
	}
	n.inside -= n.rate / 1000
	for len(n.queue) > 0 && n.inside < float64(n.ring) {
		p := n.queue[0]
		n.queue = n.queue[1:]
		n.queued -= p.bytes
		n.passed += p.bytes
		n.inside += p.bytes
		// What is in the ring is counted when it leaves; as much as what came in did.
		if n.whole {
			n.sent += p.bytes
		} else {
			n.sent += p.octets
		}
	}
	n.inside = max(n.inside, 0)
	if n.now-n.toldAt >= n.lazy {
		n.told, n.toldAt = max(n.sent-n.inside, n.told), n.now
	}
}

func (n *simulatedNIC) waiting() float64 { return n.queued + n.inside }

func (n *simulatedNIC) sight() *Sample {
	return &Sample{At: int64(n.now), Before: n.given, After: n.given, QdiscRead: true,
		Link:  LinkStats{TxBytes: uint64(n.told), Present: true},
		Qdisc: QdiscStats{SentBytes: uint64(n.passed), Backlog: uint32(n.queued), Drops: n.dropped}}
}

// run transmits perSecond bytes/s for d in super-frames and calls f every 20 ms.
func (n *simulatedNIC) run(d time.Duration, perSecond float64, f func()) {
	end := n.now + d
	for due := 0.0; n.now < end; {
		for due += perSecond / 1000; due >= superFrame.bytes; due -= superFrame.bytes {
			n.put(superFrame)
		}
		n.step()
		if n.now%(20*time.Millisecond) == 0 {
			f()
		}
	}
}

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		name  string
		nic   simulatedNIC
		gives float64 // of the rate
		off   float64 // bytes by which the estimate may be off
	}{
		{"queue, counted whole", simulatedNIC{limit: 400e3, whole: true}, 1, 70e3},
		{"queue, super-frames counted as one", simulatedNIC{limit: 400e3}, 1, 70e3},
		{"ring, counted whole", simulatedNIC{limit: 400e3, ring: 600e3, whole: true}, 1, 70e3},
		{"ring, super-frames counted as one", simulatedNIC{limit: 400e3, ring: 600e3}, 1, 70e3},
		{"too much", simulatedNIC{limit: 400e3}, 1.5, 70e3},
		{"far too much for a ring", simulatedNIC{limit: 400e3, ring: 300e3, whole: true}, 5, 140e3},
		{"others send, too", simulatedNIC{limit: 400e3, whole: true, others: 2e6}, 1, 70e3},
		{"little", simulatedNIC{limit: 400e3, ring: 600e3}, 0.5, 70e3},
		{"counters updated once a second", simulatedNIC{limit: 400e3, ring: 40e3, whole: true, lazy: time.Second},
			1.1, 130e3},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.nic
			n.rate, n.ring = 25e6, max(n.ring, 1)
			o := &Estimator{}
			var taken, losses uint64
			var capacity spread.Capacity
			looks, off := 0, 0.0
			look := func() {
				r := o.Update(n.sight())
				taken += r.Accepted
				losses += r.Dropped
				capacity.Measure(int64(n.now), r.Accepted, r.Backlog, 0)
				if n.now < 6*time.Second {
					return
				}
				looks++
				off += abs(float64(r.Backlog) - n.waiting())
			}
			look()
			n.run(6*time.Second, 0.8*n.rate, look)
			for range 10 {
				// Loads come and go; between them the estimate comes right.
				n.run(2*time.Second, c.gives*n.rate, look)
				n.run(time.Duration(rand.IntN(10))*20*time.Millisecond, 0, look)
			}
			if off /= float64(looks); off > c.off {
				t.Errorf("off by %.0f bytes on average", off)
			}
			if losses != uint64(n.dropped) {
				t.Errorf("%d frames were dropped, %d are known", n.dropped, losses)
			}
			kept := float64(n.given.WireBytes) - n.refused
			if c.nic.others == 0 && c.nic.lazy == 0 && abs(float64(taken)-kept) > 0.02*kept {
				t.Errorf("%d bytes were taken, in truth %.0f", taken, kept)
			}
			if c.gives >= 1 && c.nic.lazy == 0 && abs(float64(capacity.Bps())/8-n.rate) > 0.08*n.rate {
				t.Errorf("carries %.0f bytes/s, in truth %.0f", float64(capacity.Bps())/8, n.rate)
			}
			n.run(time.Second, 0, look)
			if w := o.wireBacklog(); c.nic.others == 0 && w != 0 {
				t.Errorf("%d bytes wait at the end", w)
			}
		})
	}
}

func abs(x float64) float64 { return max(x, -x) }

// Another NIC, or the same with its counters at zero, starts the estimate again.
func TestEstimateRestarts(t *testing.T) {
	o := &Estimator{}
	s := &Sample{At: 1, Link: LinkStats{TxBytes: 1 << 30, Present: true}, QdiscRead: true}
	o.Update(s)
	s = &Sample{At: 2e7, Before: TxTotals{1e6, 1e6}, After: TxTotals{1e6, 1e6},
		Link: LinkStats{TxBytes: 1000, Present: true}, QdiscRead: true, Qdisc: QdiscStats{Backlog: 5000, Drops: 7}}
	if r := o.Update(s); r.Accepted != 0 || r.Backlog != 5000 || r.Dropped != 0 {
		t.Errorf("%+v", r)
	}
	gone := *s
	gone.At, gone.Link = 4e7, LinkStats{}
	if r := o.Update(&gone); r != (Progress{}) {
		t.Errorf("of a NIC that is gone: %+v", r)
	}
}
