// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"testing"
	"time"

	"nicteam/internal/frame"
)

// BenchmarkWatches is a second of eight members, idle and under load.
func BenchmarkWatches(b *testing.B) {
	for name, rate := range map[string]uint64{"idle": 0, "busy": 5} {
		b.Run(name, func(b *testing.B) {
			l := newLAN(b, 8, "auto")
			l.gateway(gw)
			l.sync()
			l.run(3 * time.Second)
			w, now := l.w, l.now
			t := &Traffic{}
			for id := range 8 {
				t.Members = append(t.Members, Moved{ID: id})
			}
			var n frame.Neighbour
			var p frame.Probe
			deliver := func() {
				for _, s := range w.Sends() {
					switch {
					case frame.ParseProbe(s.Frame, &p):
						w.Receive(now, int(p.To), s.Frame)
					case frame.ParseNeighbour(s.Frame, &n):
						w.Receive(now, s.Member, answerTo(&n, hostMAC))
					}
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for end, sample := now.Add(time.Second), now; now.Before(end); {
					if now = w.Deadline(); rate > 0 && sample.Before(now) {
						now, sample = sample, sample.Add(5*ms)
						for i := range t.Members {
							t.Members[i].TX, t.Members[i].RX = t.Members[i].TX+rate, t.Members[i].RX+rate
						}
						w.Traffic(now, t)
					}
					w.Tick(now)
					deliver()
				}
			}
			if w.Verdict(3).State != Up {
				b.Error(w.Verdict(3))
			}
		})
	}
}
