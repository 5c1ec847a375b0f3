// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"slices"
	"testing"
	"time"

	"nicteam/monitor"
)

// TestSamplesFollowTheFrames: nothing is said while nothing moves; while frames move they are counted every 10 ms, and
// a silence that begins is still told. Where no other member could take over they are counted every 50 ms.
func TestSamplesFollowTheFrames(t *testing.T) {
	var moved Moved
	resent := uint64(0)
	s := &sampler{read: func(m *Moved) { *m = moved }, resent: func() uint64 { resent++; return 7 },
		every: sampleIdle}
	now := time.Unix(1000, 0)
	ids := []int{3, 4}
	step := func(tx, rx uint64) bool {
		moved[3].TX += tx
		moved[3].RX += rx
		now = now.Add(s.every)
		return s.sample(now, ids, false, false)
	}
	if step(0, 0) || s.every != sampleAsleep || resent != 0 {
		t.Errorf("idle: every %v, %d readings of retransmissions", s.every, resent)
	}
	if !step(1, 1) || s.every != sampleMoving {
		t.Errorf("one frame: every %v", s.every)
	}
	heard := now
	step(10, 0)
	want := monitor.Moved{ID: 3, TX: 11, RX: 1, Heard: heard, Sent: 10}
	if len(s.traffic.Members) != 2 || s.traffic.Members[0] != want {
		t.Errorf("%+v, want %+v", s.traffic.Members, want)
	}
	samples, told := 0, 0 // without a frame
	for s.every == sampleMoving {
		samples++
		if step(0, 0) {
			told++
		}
	}
	if samples != int(sampleQuietFor/sampleMoving)+1 || s.every != sampleIdle || told < 8 {
		t.Errorf("%d samples after the last frame, %d of them told, then every %v", samples, told, s.every)
	}
	for range sampleAwake / sampleIdle {
		if step(0, 0) {
			t.Fatal("a sample of nothing is news")
		}
	}
	if s.every != sampleAsleep {
		t.Errorf("every %v after two seconds", s.every)
	}
	if resent == 0 || resent > 8 {
		t.Errorf("%d readings of retransmissions in 120 ms", resent)
	}
	ids = ids[:1]
	if step(100, 100); s.every != sampleIdle {
		t.Errorf("every %v of a single member", s.every)
	}
}

// TestSamplesThatAreTold: of a member that hears what it sends to, the control loop is told now and then; of one that
// does not at once, and of segments that are sent again, and of all while members are compared or samples are late.
func TestSamplesThatAreTold(t *testing.T) {
	var moved Moved
	resent := uint64(7)
	s := &sampler{read: func(m *Moved) { *m = moved }, unsent: func(int) bool { return false },
		resent: func() uint64 { return resent }, every: sampleMoving}
	now := time.Unix(1000, 0)
	step := func(rx uint64, judging, late bool) bool {
		moved[1].TX += 100
		moved[1].RX += rx
		moved[2].TX += 100
		moved[2].RX += 100
		now = now.Add(s.every)
		return s.sample(now, []int{1, 2}, judging, late)
	}
	step(100, false, false)
	step(100, false, false)
	told := 0
	for range 200 {
		if step(100, false, false) {
			told++
		}
	}
	if told < 18 || told > 21 { // of 200 samples
		t.Errorf("told %d times within two seconds in which all is well", told)
	}
	for !step(100, false, false) {
	}
	if !step(0, false, false) {
		t.Error("a silence of 10 ms is not told at once")
	}
	if m := s.traffic.Members[0]; m.Heard != now.Add(-10*time.Millisecond) || m.Sent != 100 {
		t.Errorf("%+v after 10 ms of silence", m)
	}
	step(100, false, false)
	for !step(100, false, false) {
	}
	if m := s.traffic.Members[0]; m.Silence != 20*time.Millisecond || m.Heard != now || m.Sent != 0 {
		t.Errorf("%+v after a silence of 20 ms", m)
	}
	resent += 3
	n := 1
	for !step(100, false, false) {
		n++
	}
	if n > int(retransmitsGap/sampleMoving) || s.traffic.Retransmits != resent {
		t.Errorf("segments that were sent again are told after %d samples", n)
	}
	for range 3 {
		if !step(100, true, false) || s.every != sampleJudging {
			t.Errorf("members are compared, and a sample is not told, or the next one is in %v", s.every)
		}
		if !step(100, false, true) || !s.traffic.Late {
			t.Error("a late sample is not told")
		}
	}
}

// TestSamplesOfWhatHasNotLeft: only while members are compared is it read, and then it is news although nothing moves.
func TestSamplesOfWhatHasNotLeft(t *testing.T) {
	asked, waits := 0, true
	s := &sampler{read: func(*Moved) {}, unsent: func(id int) bool { asked++; return waits && id == 5 },
		every: sampleIdle}
	now := time.Unix(1000, 0)
	if s.sample(now, []int{3, 5}, false, false) || asked != 0 {
		t.Errorf("read %d times although nobody is compared", asked)
	}
	want := []monitor.Moved{{ID: 3, Heard: now}, {ID: 5, Unsent: true, Heard: now}}
	if !s.sample(now, []int{3, 5}, true, false) || !slices.Equal(s.traffic.Members, want) || s.every != sampleJudging {
		t.Errorf("%+v, the next after %v", s.traffic.Members, s.every)
	}
	waits = false
	if s.sample(now, []int{3, 5}, true, false) || s.every != sampleAsleep {
		t.Errorf("all has left: the next after %v", s.every)
	}
}

// TestSamplesReachTheLoop: a team whose counters move gets samples, and an idle one none.
func TestSamplesReachTheLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		c := activeBackup()
		c.LinkWatch = []string{"gateway"}
		tm := running(t, k, Options{Config: c, Retransmits: k.retransmits}, 1, 2)
		read := func() uint64 { k.mu.Lock(); defer k.mu.Unlock(); return k.resent }
		time.Sleep(time.Second)
		if n := read(); n != 0 {
			t.Errorf("%d readings while idle", n)
		}
		k.do(func() { k.moved[0].TX += 100 })
		time.Sleep(time.Second)
		n := read()
		if n < 2 || n > 10 {
			t.Errorf("%d readings around one burst", n)
		}
		c.LinkWatch = []string{"carrier"}
		if err := tm.Set(context.Background(), c); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		k.do(func() { k.moved[0].TX += 100 })
		time.Sleep(time.Second)
		if read() != n {
			t.Errorf("%d readings although nothing asks", read()-n)
		}
		if err := tm.Alive(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestSampleHandledLate: a sample that waited for the control loop says nothing.
func TestSampleHandledLate(t *testing.T) {
	for _, late := range []time.Duration{0, sampleLate, sampleLate + 1} {
		r := request{in: Traffic{}, sampledAt: time.Unix(5, 0)}
		r.markLate(time.Unix(5, 0).Add(late))
		if got := r.in.(Traffic).Late; got != (late > sampleLate) {
			t.Errorf("%v after it was taken: late %v", late, got)
		}
	}
}
