// SPDX-License-Identifier: MIT

package lab_test

import (
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestWitness(t *testing.T) {
	labtest.Root(t)
	w, err := lab.StartWitness()
	labtest.Must(t, err)
	start := time.Now()
	// A busy program is not a standstill.
	for time.Since(start) < 300*time.Millisecond {
	}
	end := time.Now()
	labtest.Must(t, w.Close())
	labtest.Must(t, w.Close())
	if got := w.Within(start, end); got > 250*time.Millisecond {
		t.Errorf("standstill of %v in %v while this program was busy", got, end.Sub(start))
	}
	for _, s := range w.Standstills() {
		t.Logf("stood still %v at %v", time.Duration(s.To-s.From), time.Unix(0, s.From).Sub(start))
	}
}
