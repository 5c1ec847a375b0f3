// SPDX-License-Identifier: MIT

//go:build !race

package traffic

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

const day = 24 * 3600

// A day of eight members that carry gigabits in both directions stays whole; of more, and of all protocols in
// every second, there is as much as goes into the bound.
func TestSizeIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("a day of 64 members takes some seconds; run without -short")
	}
	for _, tt := range []struct {
		name         string
		members      int
		all          bool
		seconds      int
		fine, coarse time.Duration // known at least
		most         int
	}{
		{"eight, all protocols all the time", 8, true, day + 3600, time.Hour, 21 * time.Hour, 8_000_000},
		{"eight, as it is", 8, false, day + 3600, time.Hour, 24 * time.Hour, 8_000_000},
		{"64, all protocols all the time", 64, true, 4 * 3600, 8 * time.Minute, 2 * time.Hour, 8_000_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			h, end := busy(tt.members, tt.seconds, tt.all)
			runtime.GC()
			runtime.ReadMemStats(&after)
			heap := int(after.HeapAlloc) - int(before.HeapAlloc)
			var b bytes.Buffer
			_, _ = h.Snapshot().WriteTo(&b)
			fine, coarse := end.Sub(time.UnixMilli(h.fine.blocks[0].start)),
				end.Sub(time.UnixMilli(h.coarse.blocks[0].start))
			t.Logf("%d bytes of heap, %d of records, %d in a file; seconds of %v, ten seconds of %v", heap, h.Size(),
				b.Len(), fine, coarse)
			if heap > tt.most || fine < tt.fine || coarse < tt.coarse {
				t.Errorf("want at most %d, seconds of %v and ten seconds of %v", tt.most, tt.fine, tt.coarse)
			}
			runtime.KeepAlive(h)
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	h, now := busy(8, 600, true)
	m, r := newMeter("eth0", "eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "eth7"), rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.load(r, true)
		h.Add(now, now.Sub(begin), m.members)
	}
}

func BenchmarkQueryDay(b *testing.B) {
	h, now := busy(8, day, true)
	b.ReportAllocs()
	for b.Loop() {
		h.Snapshot().Query(Query{From: now.Add(-24 * time.Hour), To: now, Step: 2 * time.Minute})
	}
}

func BenchmarkQueryHour(b *testing.B) {
	h, now := busy(8, 4000, true)
	b.ReportAllocs()
	for b.Loop() {
		h.Snapshot().Query(Query{From: now.Add(-time.Hour), To: now, Step: 5 * time.Second})
	}
}
