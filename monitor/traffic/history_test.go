// SPDX-License-Identifier: MIT

package traffic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"nicteam/internal/frame"
)

var begin = time.UnixMilli(1_800_000_000_000)

// meter is a data path: totals that grow.
type meter struct{ members []Totals }

func newMeter(names ...string) *meter {
	m := &meter{}
	for _, n := range names {
		m.members = append(m.members, Totals{Name: n})
	}
	return m
}

func (m *meter) carry(member int, p frame.Protocol, rx, tx Count) {
	m.members[member].RX[p].add(rx)
	m.members[member].TX[p].add(tx)
}

// all asks for all there is.
func all(h *History, member string) *Window {
	return h.Snapshot().Query(Query{From: time.Unix(0, 0), To: begin.Add(10000 * time.Hour), Step: 50 * time.Hour,
		Member: member})
}

func total(s []uint64) (n uint64) {
	for i := range s {
		n += s[i]
	}
	return n
}

func known(w *Window) (d time.Duration) {
	for i := range w.Covered {
		d += w.Covered[i]
	}
	return d
}

func TestSecondsAreToldAsTheyWere(t *testing.T) {
	h, m := New(), newMeter("eth1", "eth2")
	h.Add(begin, 0, m.members)
	for i := range 4 {
		m.carry(0, frame.TCP, Count{1000, 10}, Count{})
		if i == 2 {
			m.carry(1, frame.ARP, Count{}, Count{60, 1})
		}
		h.Add(begin.Add(time.Duration(i+1)*time.Second), time.Duration(i+1)*time.Second, m.members)
	}
	got := h.Snapshot().Query(Query{From: begin, To: begin.Add(4 * time.Second), Step: 2 * time.Second})
	tcp := Series{[]uint64{2000, 2000}, []uint64{20, 20}, []uint64{1000, 1000}, []uint64{10, 10}}
	arp := Series{[]uint64{0, 60}, []uint64{0, 1}, []uint64{0, 60}, []uint64{0, 1}}
	want := &Window{From: begin, Step: 2 * time.Second, Covered: []time.Duration{2 * time.Second, 2 * time.Second},
		Total:   Flow{RX: tcp, TX: arp},
		Members: []MemberFlow{{"eth1", Flow{RX: tcp}}, {"eth2", Flow{TX: arp}}}}
	want.Protocols[frame.TCP].RX, want.Protocols[frame.ARP].TX = tcp, arp
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("window (-want +got):\n%s", d)
	}
	got = h.Snapshot().Query(Query{From: begin, To: begin.Add(4 * time.Second), Step: 2 * time.Second, Member: "eth2"})
	want.Total.RX, want.Protocols[frame.TCP].RX, want.Members = Series{}, Series{}, nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("window of eth2 (-want +got):\n%s", d)
	}
	got = h.Snapshot().Query(Query{From: begin, To: begin.Add(4 * time.Second), Step: 2 * time.Second, Member: "eth9"})
	if got.Total.RX.Bytes != nil || got.Total.TX.Bytes != nil || got.Covered[0] != 2*time.Second {
		t.Errorf("of a stranger: %+v", got)
	}
}

// A busy second that two columns share is the peak of the one that has more of it.
func TestPeakStandsWhereItWas(t *testing.T) {
	h, m := New(), newMeter("eth1")
	at := 700 * time.Millisecond
	for i := range 5 {
		if i == 2 {
			m.carry(0, frame.TCP, Count{1000, 10}, Count{})
		}
		h.Add(begin.Add(at), at, m.members)
		at += time.Second
	}
	// From 1.7 to 2.7 s.
	got := h.Snapshot().Query(Query{From: begin, To: begin.Add(5 * time.Second), Step: time.Second}).Total.RX
	want := Series{[]uint64{0, 300, 700, 0, 0}, []uint64{0, 3, 7, 0, 0}, []uint64{0, 300, 1000, 0, 0},
		[]uint64{0, 3, 10, 0, 0}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A member that joins, leaves, resets its counters or changes its id makes neither peaks nor negative values.
func TestTotalsThatBeginAnewMakeNoPeak(t *testing.T) {
	h, m := New(), newMeter("eth1")
	m.carry(0, frame.TCP, Count{5e12, 5e9}, Count{7e12, 7e9})
	now := begin
	add := func() {
		h.Add(now, now.Sub(begin), m.members)
		now = now.Add(time.Second)
	}
	add()
	m.carry(0, frame.TCP, Count{1000, 1}, Count{})
	add()
	gone := m.members
	m.members = nil // it leaves
	add()
	m.members = gone // and is back, with totals that went on
	m.carry(0, frame.TCP, Count{9e12, 9e9}, Count{})
	add()
	m.carry(0, frame.TCP, Count{2000, 2}, Count{})
	add()
	m.members = newMeter("eth1").members // begins anew
	m.carry(0, frame.UDP, Count{3e12, 3}, Count{})
	add()
	m.carry(0, frame.UDP, Count{4000, 4}, Count{})
	add()
	m.members[0].Account = 7 // that had counted this NIC before
	m.carry(0, frame.UDP, Count{1e15, 5}, Count{})
	add()
	w := all(h, "")
	if got := total(w.Total.RX.Bytes); got != 7000 {
		t.Errorf("%d bytes, want 7000", got)
	}
	if got := slices.Max(w.Total.RX.BytesPeak); got != 4000 {
		t.Errorf("peak %d, want 4000", got)
	}
	if w.Total.TX.Bytes != nil {
		t.Errorf("sent: %v", w.Total.TX)
	}
}

func TestTimesThatNobodySawAreGaps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // after the third second
		jump  time.Duration // of the clock, then
		want  string        // seconds by what is known of them
	}{
		{"nothing happens", 0, 0, "######......"},
		{"the machine stands still", 6 * time.Second, 0, "###.......##"},
		{"it is read a little late", 3 * time.Second, 0, "#########..."},
		{"the clock jumps on", 0, 4 * time.Second, "###....###.."},
		{"the machine sleeps", 0, 4 * time.Second, "###....###.."},
		{"the clock jumps back", 0, -2 * time.Second, "####........"},
		{"the clock is put right a little", 0, 100 * time.Millisecond, "######......"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, m := New(), newMeter("eth1")
			now, up := begin, 7*time.Hour
			h.Add(now, up, m.members)
			for i := range 6 {
				if i == 3 {
					now, up = now.Add(tt.pause+tt.jump), up+tt.pause
				}
				now, up = now.Add(time.Second), up+time.Second
				m.carry(0, frame.TCP, Count{1000, 1}, Count{})
				h.Add(now, up, m.members)
			}
			w := h.Snapshot().Query(Query{From: begin, To: begin.Add(12 * time.Second), Step: time.Second})
			var got strings.Builder
			for i, known := range w.Covered {
				if known > time.Second/2 {
					got.WriteString("#")
				} else {
					got.WriteString(".")
				}
				if n := w.Total.RX.BytesPeak[i]; n > 1010 || known == 0 && n > 0 {
					t.Errorf("peak %d in second %d, of which %v is known", n, i, known)
				}
			}
			if got.String() != tt.want {
				t.Errorf("known %s, want %s", got.String(), tt.want)
			}
		})
	}
}

func TestHistoryThatIsAheadOfTheClockIsKeptForAWhile(t *testing.T) {
	h, m := New(), newMeter("eth1")
	at := begin
	run := func(seconds int) {
		for range seconds {
			m.carry(0, frame.TCP, Count{1000, 1}, Count{})
			h.Add(at, at.Sub(begin), m.members)
			at = at.Add(time.Second)
		}
	}
	run(1001)
	kept := at.Add(-time.Second)
	reopen := func() {
		var b bytes.Buffer
		if _, err := h.Snapshot().WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		var err error
		if h, err = Read(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	at = time.Unix(100, 0) // a boot without a clock
	run(60)
	if n := total(all(h, "").Total.RX.Bytes); n != 1_000_000 {
		t.Errorf("a minute without a clock, and %d bytes are known", n)
	}
	reopen()
	at = kept.Add(-500 * time.Second) // the clock was wrong before
	run(200)
	// 500 from before, less the two minutes of patience that were played again, and what came then.
	if n, d := total(all(h, "").Total.RX.Bytes), known(all(h, "")); n < 690_000 || n > 700_000 ||
		d != time.Duration(n/1000)*time.Second {
		t.Errorf("after the clock was put right %d bytes in %v are known", n, d)
	}
}

// load carries what busy members do in a second: TCP of gigabits, UDP, and a little of everything else, with all every
// second and otherwise now and then.
func (m *meter) load(r *rand.Rand, all bool) {
	for i := range m.members {
		for p := range frame.Protocols {
			if !all && p > int(frame.UDP) && r.IntN(8) > 0 {
				continue
			}
			m.carry(i, frame.Protocol(p), some(r, frame.Protocol(p)), some(r, frame.Protocol(p)))
		}
	}
}

func some(r *rand.Rand, p frame.Protocol) Count {
	frames := uint64(1 + r.IntN(3))
	switch p {
	case frame.TCP:
		frames = uint64(400_000 + r.IntN(400_000))
		return Count{frames*uint64(1200+r.IntN(300)) + uint64(r.IntN(1000)), frames}
	case frame.UDP:
		frames = uint64(1 + r.IntN(20_000))
		return Count{frames*uint64(300+r.IntN(900)) + uint64(r.IntN(1000)), frames}
	case frame.ICMP, frame.Other:
		return Count{frames*98 + uint64(r.IntN(200)), frames}
	}
	return Count{frames * 60, frames}
}

func busy(members, seconds int, all bool) (*History, time.Time) {
	var names []string
	for i := range members {
		names = append(names, fmt.Sprint("eth", i))
	}
	h, m, r := New(), newMeter(names...), rand.New(rand.NewPCG(1, 2))
	now := begin
	for range seconds + 1 {
		h.Add(now, now.Sub(begin), m.members)
		now = now.Add(time.Second)
		m.load(r, all)
	}
	return h, now.Add(-time.Second)
}
