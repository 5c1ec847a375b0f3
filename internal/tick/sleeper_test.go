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
			if !timer.Sleep(d) || time.Since(begun) != d {
				t.Errorf("Sleep(%v) took %v", d, time.Since(begun))
			}
		}
		slept := make(chan bool)
		go func() { slept <- timer.Sleep(time.Hour) }()
		synctest.Wait()
		for range 2 {
			if err := timer.Close(); err != nil {
				t.Error(err)
			}
		}
		if <-slept || timer.Sleep(time.Second) {
			t.Error("a closed timer sleeps")
		}
	})
}
