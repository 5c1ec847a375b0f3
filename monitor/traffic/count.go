// SPDX-License-Identifier: MIT

package traffic

import (
	"math"
	"math/bits"

	"nicteam/internal/frame"
)

// Count is bytes without FCS, and frames.
type Count struct {
	Bytes  uint64
	Frames uint64
}

func (c *Count) add(o Count) { c.Bytes += o.Bytes; c.Frames += o.Frames }

func (c *Count) raise(o Count) { c.Bytes, c.Frames = max(c.Bytes, o.Bytes), max(c.Frames, o.Frames) }

// rate is c per second when c moved in ms milliseconds, at least 1 unless c is 0.
func (c Count) rate(ms int64) Count { return Count{perSecond(c.Bytes, ms), perSecond(c.Frames, ms)} }

func perSecond(n uint64, ms int64) uint64 {
	if n == 0 || ms <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, 1000)
	lo, carry := bits.Add64(lo, uint64(ms)/2, 0)
	if hi += carry; hi >= uint64(ms) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(ms))
	return max(q, 1)
}

// share is the part of n in the first ms of all milliseconds, rounded down.
func share(n uint64, ms, all int64) uint64 {
	hi, lo := bits.Mul64(n, uint64(ms))
	q, _ := bits.Div64(hi, lo, uint64(all)) // ms <= all, so the quotient is no larger than n
	return q
}

// The directions, seen from this host.
const (
	RX = iota
	TX
	directions
)

// sum indexes the peak of all protocols together, which is not the sum of their peaks.
const sum = frame.Protocols

// counts are by direction and protocol.
type counts [directions][frame.Protocols]Count

// peaks are bytes and frames in the busiest second, by direction and protocol, and of all.
type peaks [directions][frame.Protocols + 1]Count

func (c *counts) total(d int) (t Count) {
	for p := range c[d] {
		t.add(c[d][p])
	}
	return t
}

func (c *counts) add(o *counts) {
	for d := range c {
		for p := range c[d] {
			c[d][p].add(o[d][p])
		}
	}
}

// rates are the peaks of a record that is one second.
func (c *counts) rates(ms int64) (r peaks) {
	for d := range c {
		for p := range c[d] {
			r[d][p] = c[d][p].rate(ms)
		}
		r[d][sum] = c.total(d).rate(ms)
	}
	return r
}

func (k *peaks) raise(o *peaks) {
	for d := range k {
		for p := range k[d] {
			k[d][p].raise(o[d][p])
		}
	}
}
