// SPDX-License-Identifier: MIT

//go:build !race

package traffic

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"nicteam/internal/frame"
	"pgregory.net/rapid"
)

// seen is what a history must say that it saw.
type seen struct {
	all     map[string]counts
	peak    map[string]uint64 // bytes received a second
	covered time.Duration
}

// play feeds a history with members that come and go, counter resets, late readings and gaps.
func play(t *rapid.T) (*History, *seen) {
	h, s := New(), &seen{all: map[string]counts{}, peak: map[string]uint64{}}
	now, up := begin, time.Duration(0)
	totals := map[string]*Totals{}
	last := map[string]Totals{}
	for range rapid.IntRange(2, 120).Draw(t, "readings") {
		took := time.Duration(rapid.SampledFrom([]int{1000, 1000, 1000, 1000, 1003, 900, 1100, 2500, 6000}).Draw(t,
			"took")) * time.Millisecond
		if up == 0 {
			took = time.Hour
		}
		now, up = now.Add(took), up+took
		known := took <= longestInterval
		if known {
			s.covered += took
		}
		reading := map[string]Totals{}
		var list []Totals
		for _, name := range []string{"eth0", "eth1", "wlan0"} {
			switch rapid.IntRange(0, 12).Draw(t, name) {
			case 0: // it is not there
				continue
			case 1: // it begins anew
				totals[name] = &Totals{Name: name}
			}
			if totals[name] == nil {
				totals[name] = &Totals{Name: name}
			}
			m := totals[name]
			p := rapid.IntRange(0, frame.Protocols-1).Draw(t, "protocol")
			frames := rapid.SampledFrom([]uint64{0, 0, 1, 10, 80_000, 5_000_000}).Draw(t, "frames")
			n := Count{frames * rapid.Uint64Range(60, 1514).Draw(t, "size"), frames}
			m.RX[p].add(n)
			m.TX[(p+3)%frame.Protocols].add(n)
			list = append(list, *m)
			reading[name] = *m
			was, there := last[name]
			if !there || !known {
				continue
			}
			diff, less := counts{m.RX, m.TX}, false
			for d, before := range (counts{was.RX, was.TX}) {
				for p := range before {
					less = less || diff[d][p].Bytes < before[p].Bytes || diff[d][p].Frames < before[p].Frames
					diff[d][p].Bytes -= before[p].Bytes
					diff[d][p].Frames -= before[p].Frames
				}
			}
			if !less {
				sum := s.all[name]
				sum.add(&diff)
				s.all[name] = sum
				s.peak[name] = max(s.peak[name], diff.total(RX).rate(took.Milliseconds()).Bytes)
			}
		}
		h.Add(now, up, list)
		last = reading
	}
	return h, s
}

// However columns are cut, their sums are exactly what was seen, by member, protocol and in all, and peaks are kept.
func TestSumsAreExactAndPeaksSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, want := play(t)
		if rapid.Bool().Draw(t, "coarse") {
			h.flush()
			h.fine = ring{keep: 1, budget: fineBudget}
		}
		step := time.Duration(rapid.SampledFrom([]int{1000, 1500, 7000, 10_000, 60_000, 3_600_000}).Draw(t,
			"step")) * time.Millisecond
		ask := func(member string) *Window {
			return h.Snapshot().Query(Query{From: begin.Add(59 * time.Minute), To: begin.Add(70 * time.Minute),
				Step: step, Member: member})
		}
		var sum counts
		for name, c := range want.all {
			sum.add(&c)
			w := ask(name)
			if d := cmp.Diff(c, sums(w)); d != "" {
				t.Fatalf("%s (-want +got):\n%s", name, d)
			}
			if w.Total.RX.Bytes != nil {
				got, true := float64(slices.Max(w.Total.RX.BytesPeak)), float64(want.peak[name])
				if got < 0.99*true-2 || got > 1.01*true+2 {
					t.Fatalf("%s: peak %v, want %v", name, got, true)
				}
			}
		}
		w := ask("")
		if d := cmp.Diff(sum, sums(w)); d != "" {
			t.Fatalf("team (-want +got):\n%s", d)
		}
		if got := known(w); got != want.covered {
			t.Fatalf("known for %v, want %v", got, want.covered)
		}
		columns := Query{From: begin.Add(59 * time.Minute), To: begin.Add(70 * time.Minute), Step: step}.Columns()
		if len(w.Covered) != columns {
			t.Fatalf("%d columns, want %d", len(w.Covered), columns)
		}
		for i := range columns {
			var protocols, members Count
			for p := range w.Protocols {
				protocols.add(at(&w.Protocols[p].RX, i))
			}
			for m := range w.Members {
				members.add(at(&w.Members[m].RX, i))
			}
			if total := at(&w.Total.RX, i); total != protocols || total != members {
				t.Fatalf("column %d: in all %v, protocols %v, members %v", i, total, protocols, members)
			}
			if n := at(&w.Total.RX, i); n != (Count{}) &&
				w.Total.RX.BytesPeak[i] < n.rate(max(1000, w.Covered[i].Milliseconds())).Bytes {
				t.Fatalf("column %d: peak %d below the average", i, w.Total.RX.BytesPeak[i])
			}
		}
	})
}

func at(s *Series, i int) Count {
	if s.Bytes == nil {
		return Count{}
	}
	return Count{s.Bytes[i], s.Frames[i]}
}

func sums(w *Window) (c counts) {
	for p := range w.Protocols {
		for d := range c {
			s := w.Protocols[p].direction(d)
			c[d][p] = Count{total(s.Bytes), total(s.Frames)}
		}
	}
	return c
}

// A history read back says the same, and what was read goes on.
func TestWrittenHistoryIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, _ := play(t)
		b := written(h)
		back, err := Read(b)
		if err != nil {
			t.Fatal(err)
		}
		q := Query{From: begin, To: begin.Add(2 * time.Hour), Step: 7 * time.Second}
		if want, got := h.Snapshot().Query(q), back.Snapshot().Query(q); !reflect.DeepEqual(want, got) {
			t.Fatalf("(-written +read):\n%s", cmp.Diff(want, got))
		}
		if again := written(back); !bytes.Equal(b, again) {
			t.Fatalf("written again it is not the same: %d and %d bytes", len(b), len(again))
		}
		coarse := *back
		coarse.fine = ring{keep: 1, budget: fineBudget}
		if want, got := sums(all(h, "")), sums(all(&coarse, "")); want != got {
			t.Fatalf("tens of seconds have not all that seconds have (-seconds +tens):\n%s", cmp.Diff(want, got))
		}
		m := newMeter("eth0", "new")
		later := begin.Add(3 * time.Hour)
		back.Add(later, 0, m.members)
		m.carry(1, frame.UDP, Count{100, 1}, Count{})
		back.Add(later.Add(time.Second), time.Second, m.members)
		w := back.Snapshot().Query(Query{From: later, To: later.Add(time.Minute), Step: time.Minute})
		if len(w.Members) != 1 || w.Members[0].Name != "new" || w.Members[0].RX.Bytes[0] != 100 {
			t.Fatalf("after that: %+v", w.Members)
		}
	})
}

func written(h *History) []byte {
	var b bytes.Buffer
	if _, err := h.Snapshot().WriteTo(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// A snapshot stays as it is while its history goes on, loses its oldest records or is cut.
func TestSnapshotDoesNotChange(t *testing.T) {
	h, now := busy(2, 500, true)
	s := h.Snapshot()
	q := Query{From: begin, To: now.Add(time.Hour), Step: 10 * time.Second}
	want := s.Query(q)
	m := newMeter("eth0", "eth1")
	h.fine.keep, h.coarse.keep = 1, 1
	for i := range 1000 {
		now = now.Add(time.Second)
		m.carry(0, frame.TCP, Count{uint64(i), 1}, Count{1, 1})
		h.Add(now, now.Sub(begin), m.members)
	}
	h.fine.cut(begin.UnixMilli() + 400)
	h.coarse.cut(begin.UnixMilli() + 400)
	if d := cmp.Diff(want, s.Query(q)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}

// Names that nothing is kept of make room for new ones.
func TestNamesAreForgottenWithWhatTheyCarried(t *testing.T) {
	h := New()
	h.fine.keep, h.coarse.keep = 1, 1
	now := begin
	for i := range 20 * maxNames {
		now = now.Add(time.Second)
		m := newMeter(fmt.Sprint("usb", i/2))
		m.carry(0, frame.TCP, Count{uint64(i), 1 + uint64(i)}, Count{})
		h.Add(now, now.Sub(begin), m.members)
	}
	if len(h.names) > maxNames {
		t.Errorf("%d names", len(h.names))
	}
	w := h.Snapshot().Query(Query{From: now.Add(-time.Minute), To: now, Step: time.Second,
		Member: fmt.Sprint("usb", 10*maxNames-1)})
	if total(w.Total.RX.Bytes) != 1 {
		t.Errorf("the last NIC carried %v", w.Total.RX.Bytes)
	}
}
