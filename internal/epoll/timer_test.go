// SPDX-License-Identifier: MIT

package epoll

import (
	"testing"
	"time"
)

func TestTimer(t *testing.T) {
	timer, err := NewTimer()
	if err != nil {
		t.Fatal(err)
	}
	// A time that is set while an earlier one has expired is slept in full.
	for _, d := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, -time.Hour, 5 * time.Millisecond} {
		begun := time.Now()
		if !timer.Sleep(d) {
			t.Fatalf("Sleep(%v) says that the timer is closed", d)
		}
		if took := time.Since(begun); took < d {
			t.Errorf("Sleep(%v) took %v", d, took)
		}
	}
	if n := testing.AllocsPerRun(10, func() { timer.Sleep(time.Microsecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	slept := make(chan bool)
	go func() { slept <- timer.Sleep(time.Hour) }()
	select {
	case <-slept:
		t.Fatal("an hour is over")
	case <-time.After(10 * time.Millisecond):
	}
	for range 2 {
		if err := timer.Close(); err != nil {
			t.Error(err)
		}
	}
	if <-slept || timer.Sleep(0) {
		t.Error("a closed timer sleeps")
	}
}
