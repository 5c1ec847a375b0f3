// SPDX-License-Identifier: MIT

package monitor

import (
	"testing"
	"time"
)

// TestHearing: a silence is told once it may make a member suspect, and then less and less often.
func TestHearing(t *testing.T) {
	var h Hearing
	var tx, rx uint64
	now := time.Unix(1000, 0)
	step := func(sent, heard uint64) bool {
		now = now.Add(5 * time.Millisecond)
		tx, rx = tx+sent, rx+heard
		return h.Sample(now, tx, rx, false)
	}
	for _, heard := range []uint64{5, 5, 0} {
		if step(5, heard) {
			t.Error("told of what is no silence yet")
		}
	}
	var told []int
	for ms := 10; ms <= 500; ms += 5 {
		if step(1, 0) {
			told = append(told, ms)
		}
	}
	if len(told) < 10 || len(told) > 40 || told[0] != 10 || told[1] != 15 {
		t.Errorf("told after %v ms", told)
	}
	for i := 1; i < len(told); i++ {
		if told[i]-told[i-1] > 5+told[i-1]/8 {
			t.Errorf("told after %d ms and not before %d", told[i-1], told[i])
		}
	}
	var m Moved
	if h.Tell(&m); m.Sent != 5+99 || m.Silence != 0 || now.Sub(m.Heard) != 500*time.Millisecond {
		t.Errorf("%+v", m)
	}
	if step(1, 1) {
		t.Error("the end of a silence is told at once")
	}
	if h.Tell(&m); m.Sent != 0 || m.Silence != 505*time.Millisecond || m.Heard != now {
		t.Errorf("%+v after it", m)
	}
	h.Told()
	if h.Tell(&m); m.Silence != 0 {
		t.Errorf("%v is told twice", m.Silence)
	}
	for range 100 { // it sends nothing: silence is no wonder
		if step(0, 0) {
			t.Fatal("told of a member that sends nothing")
		}
	}
	step(0, 1)
	if h.Tell(&m); m.Silence != 0 {
		t.Errorf("a silence of %v without a frame sent", m.Silence)
	}
	step(9, 0)
	now = now.Add(time.Second)
	if h.Sample(now, tx, rx, true) || h.Sample(now.Add(5*time.Millisecond), tx+9, rx, false) {
		t.Error("what was not seen in time is a silence")
	}
}

// TestSilenceOfAnEarlierLink: how long a member heard nothing until its link was lost and came back says nothing about
// the silences that end by themselves.
func TestSilenceOfAnEarlierLink(t *testing.T) {
	var w memberTraffic
	var h Hearing
	now := time.Unix(1000, 0)
	m := Moved{ID: 1}
	step := func(d time.Duration, sent, heard uint64) {
		now = now.Add(d)
		m.TX, m.RX = m.TX+sent, m.RX+heard
		h.Sample(now, m.TX, m.RX, false)
		h.Tell(&m)
		h.Told()
		w.sample(now, m, false)
	}
	for range 10 {
		step(10*time.Millisecond, 5, 5)
	}
	step(10*time.Millisecond, 5, 0) // the link is lost
	w.reset()
	step(time.Minute, 0, 0) // and is back
	step(10*time.Millisecond, 5, 5)
	if w.silence > 10*time.Millisecond {
		t.Errorf("a silence of %v while its link was there for 10 ms", w.silence)
	}
}

// TestTracedSilence: what the watches know of a member is the same whether they are told of each sample or of few.
func TestTracedSilence(t *testing.T) {
	var each, few memberTraffic
	var h Hearing
	now := time.Unix(1000, 0)
	m := Moved{ID: 1}
	for i := range 400 {
		now = now.Add(5 * time.Millisecond)
		m.TX += 10
		if i%40 >= 4 { // 20 ms of silence now and then
			m.RX += 10
		}
		news := h.Sample(now, m.TX, m.RX, false)
		each.sample(now, m, false)
		if news || i%10 == 0 {
			told := m
			h.Tell(&told)
			h.Told()
			few.sample(now, told, false)
			if few.heard != each.heard || few.sent != each.sent {
				t.Fatalf("sample %d: heard %v ago and sent %d since, want %v and %d", i, now.Sub(few.heard), few.sent,
					now.Sub(each.heard), each.sent)
			}
		}
	}
	if d := few.gap - each.gap; d < -each.gap/2 || d > each.gap/2 {
		t.Errorf("the usual gap is %v, of each sample %v", few.gap, each.gap)
	}
	if few.silence != each.silence || few.silence == 0 {
		t.Errorf("the longest silence is %v, of each sample %v", few.silence, each.silence)
	}
}
