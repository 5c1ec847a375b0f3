// SPDX-License-Identifier: MIT

package tick

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := NewTimer()
		for _, d := range []time.Duration{time.Second, 0, time.Minute} {
			begun := time.Now()
			timer.Set(d)
			if !timer.Wait() || time.Since(begun) != d {
				t.Errorf("%v took %v", d, time.Since(begun))
			}
		}
		slept := make(chan bool)
		begun := time.Now()
		timer.Set(time.Hour)
		go func() { slept <- timer.Wait() }()
		synctest.Wait()
		timer.Set(time.Second)
		if !<-slept || time.Since(begun) != time.Second {
			t.Errorf("a second, set while it waits for an hour, took %v", time.Since(begun))
		}
		go func() { slept <- timer.Wait() }()
		synctest.Wait()
		for range 2 {
			if err := timer.Close(); err != nil {
				t.Error(err)
			}
		}
		if timer.Set(0); <-slept || timer.Wait() {
			t.Error("a closed timer sleeps")
		}
	})
}
