// SPDX-License-Identifier: MIT

package lacp

import "testing"

// TestPartnerThatHearsNobody: a partner that says it hears nothing from us any more does not collect, whatever else it
// says. Open vSwitch goes on saying that it does for three seconds more.
func TestPartnerThatHearsNobody(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	p.says(s.System, s.w.now, 0, healthy)
	s.tick(aggregateWait)
	p.says(s.System, s.w.now, 0, healthy)
	if got := status(t, s.System, 0).Mux; got != MuxDistributing {
		t.Fatalf("Mux is %v before", got)
	}
	p.says(s.System, s.w.now, 0, healthy|Expired)
	if got := status(t, s.System, 0).Mux; got != MuxCollecting {
		t.Errorf("Mux is %v when the partner has expired us", got)
	}
	p.says(s.System, s.w.now, 0, healthy)
	if got := status(t, s.System, 0).Mux; got != MuxDistributing {
		t.Errorf("Mux is %v when it hears us again", got)
	}
}
