// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"testing"
	"time"
)

// line is a member that carries rate bytes/s and whose queue holds what may wait.
type line struct {
	rate    float64
	waiting float64
	bound   float64
}

// charge is what the kernel charges for a byte.
const charge = 1.5

// run gives the line bytes a millisecond for d, and returns how much it took of them.
func (l *line) run(p *rateMeter, now *time.Time, d time.Duration, perMs float64) (taken float64) {
	for ; d > 0; d -= time.Millisecond {
		*now = now.Add(time.Millisecond)
		l.waiting = max(0, l.waiting-l.rate/1000)
		took := max(0, min(perMs, l.bound-l.waiting))
		l.waiting += took
		taken += took
		at := now.UnixNano()
		if p.addBatch(at, uint64(took), uint64(took*charge)) {
			r := p.measure(at, int(l.waiting*charge), uint64(took))
			if d := float64(r.waiting) - l.waiting; d > 1+l.waiting/100 || d < -1-l.waiting/100 {
				panic(fmt.Sprintf("%.0f bytes wait, %d are read", l.waiting, r.waiting))
			}
			if r.bound > 0 {
				l.bound = float64(r.bound) / charge
			}
		}
	}
	return taken
}

func TestRateMeterFindsTheRate(t *testing.T) {
	for _, c := range []struct {
		name string
		rate float64 // bytes/s
	}{
		{"10 Mbit/s", 10e6 / 8}, {"200 Mbit/s", 200e6 / 8}, {"1 Gbit/s", 1e9 / 8}, {"5 Gbit/s", 5e9 / 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			p := &rateMeter{}
			l := &line{rate: c.rate, bound: 12 << 20}
			l.run(p, &now, 2*time.Second, 3*c.rate/1000)
			if got := float64(p.capacity.Bps()) / 8 / c.rate; got < 0.9 || got > 1.1 {
				t.Errorf("rate seen is %.2f of the true one", got)
			}
			if wait := l.waiting / c.rate; wait > 0.016 && l.waiting > minBacklog {
				t.Errorf("%.1f ms wait", wait*1e3)
			}
			l.rate *= 4
			l.run(p, &now, 2*time.Second, 3*l.rate/1000)
			if got := float64(p.capacity.Bps()) / 8 / l.rate; got < 0.9 || got > 1.1 {
				t.Errorf("after it has become faster, the rate seen is %.2f of the true one", got)
			}
			l.rate /= 16
			l.run(p, &now, 4*time.Second, 3*l.rate/1000)
			if got := float64(p.capacity.Bps()) / 8 / l.rate; got < 0.9 || got > 1.1 {
				t.Errorf("after it has become slower, the rate seen is %.2f of the true one", got)
			}
		})
	}
}

// A member that is not full says nothing about what it could carry.
func TestRateMeterIgnoresAnIdleMember(t *testing.T) {
	now := time.Unix(0, 0)
	p := &rateMeter{}
	l := &line{rate: 1e9, bound: 12 << 20}
	l.run(p, &now, time.Second, 1000)
	now = now.Add(time.Hour)
	l.run(p, &now, time.Second, 1000)
	if p.capacity.Bps() != 0 || p.bound != 0 {
		t.Errorf("%d bit/s, bound %d", p.capacity.Bps(), p.bound)
	}
}
