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
		timer.Set(time.Nanosecond)
		time.Sleep(50 * time.Microsecond)
		timer.Set(d)
		if !timer.Wait() {
			t.Fatalf("of %v it says that it is closed", d)
		}
		if took := time.Since(begun); took < d {
			t.Errorf("%v took %v", d, took)
		}
	}
	if n := testing.AllocsPerRun(10, func() { timer.Set(time.Microsecond); timer.Wait() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	slept := make(chan bool)
	timer.Set(time.Hour)
	go func() { slept <- timer.Wait() }()
	select {
	case <-slept:
		t.Fatal("an hour is over")
	case <-time.After(10 * time.Millisecond):
	}
	timer.Set(time.Millisecond) // while it waits
	if !<-slept {
		t.Error("a time that became shorter did not end")
	}
	go func() { slept <- timer.Wait() }()
	for range 2 {
		if err := timer.Close(); err != nil {
			t.Error(err)
		}
	}
	if timer.Set(0); <-slept || timer.Wait() {
		t.Error("a closed timer sleeps")
	}
}
