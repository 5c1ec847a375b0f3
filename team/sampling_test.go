// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"slices"
	"testing"
	"time"

	"nicteam/monitor"
)

// TestSamplesFollowTheFrames: nothing is said while nothing moves; while frames move they are counted every 10 ms, many
// every 5 ms, and a silence that begins is still told.
func TestSamplesFollowTheFrames(t *testing.T) {
	var moved Moved
	resent := uint64(0)
	s := &sampler{read: func(m *Moved) { *m = moved }, resent: func() uint64 { resent++; return resent },
		every: sampleIdle}
	now := time.Unix(1000, 0)
	step := func(tx uint64) bool {
		moved[3].TX += tx
		now = now.Add(s.every)
		return s.sample(now, []int{3}, false)
	}
	if step(0) || s.every != sampleAsleep || resent != 0 {
		t.Errorf("idle: every %v, %d readings of retransmissions", s.every, resent)
	}
	if !step(1) || s.every != sampleMoving {
		t.Errorf("one frame: every %v", s.every)
	}
	if !step(10) || s.every != sampleBusy {
		t.Errorf("1000 frames/s: every %v", s.every)
	}
	if want := (monitor.Moved{ID: 3, TX: 11}); len(s.traffic.Members) != 1 || s.traffic.Members[0] != want {
		t.Errorf("%+v, want %+v", s.traffic.Members, want)
	}
	told := 0
	for step(0) {
		if told++; s.every != sampleBusy {
			t.Fatalf("every %v after %d samples without a frame", s.every, told)
		}
	}
	if told != int(sampleQuietFor/sampleBusy) || s.every != sampleIdle {
		t.Errorf("%d samples after the last frame, then every %v", told, s.every)
	}
	for range sampleAwake / sampleIdle {
		if step(0) {
			t.Fatal("a sample of nothing is news")
		}
	}
	if s.every != sampleAsleep {
		t.Errorf("every %v after two seconds", s.every)
	}
	if resent == 0 || resent > 8 {
		t.Errorf("%d readings of retransmissions in 120 ms", resent)
	}
}

// TestSamplesOfWhatHasNotLeft: only while members are compared is it read, and then it is news although nothing moves.
func TestSamplesOfWhatHasNotLeft(t *testing.T) {
	asked, waits := 0, true
	s := &sampler{read: func(*Moved) {}, unsent: func(id int) bool { asked++; return waits && id == 5 },
		every: sampleIdle}
	now := time.Unix(1000, 0)
	if s.sample(now, []int{3, 5}, false) || asked != 0 {
		t.Errorf("read %d times although nobody is compared", asked)
	}
	want := []monitor.Moved{{ID: 3}, {ID: 5, Unsent: true}}
	if !s.sample(now, []int{3, 5}, true) || !slices.Equal(s.traffic.Members, want) || s.every != sampleBusy {
		t.Errorf("%+v, the next after %v", s.traffic.Members, s.every)
	}
	waits = false
	if s.sample(now, []int{3, 5}, true) || s.every != sampleAsleep {
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
