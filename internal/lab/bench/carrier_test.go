// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"nicteam/internal/lab/labtest"
)

// The flag goes while the cable is being cut, and traffic ends before that.
func TestCarrierLost(t *testing.T) {
	box, _, cable := cabled(t)
	all, err := openCarrierCounters(box, "eth1")
	labtest.Must(t, err)
	defer closeCarrierCounters(all)
	for range 3 {
		start := time.Now()
		at, err := all[0].timeLoss(cable.Cut)
		labtest.Must(t, err)
		if at.Before(start) || time.Since(at) < 0 {
			t.Errorf("lost at %v, want it between %v and now", at, start)
		}
		labtest.Must(t, cable.Mend())
	}
	if _, err := all[0].timeLoss(func() error { return nil }); err == nil {
		t.Error("a carrier that is not lost: no error")
	}
	if _, err := openCarrierCounters(box, "eth1", "eth7"); err == nil {
		t.Error("a NIC that does not exist: no error")
	}
}
