// SPDX-License-Identifier: MIT

package systest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestLACPTwoPartners has cables to two partners: one is used, the other stands by and takes over; the status says what
// is wrong. A cable from the team to itself is detected and not used, and disturbs nothing.
func TestLACPTwoPartners(t *testing.T) {
	parallelWithTimers(t)
	w, p := newPartners(t, 4, "relay")
	p.bonds(
		lab.OVSBond{Name: "bond0", Ports: []string{"p1", "p2"}, Fast: true},
		lab.OVSBond{Name: "bond1", Ports: []string{"p3", "p4"}, Fast: true, System: "02:00:00:00:0b:02"},
	)
	w.create(nics(4), "--mode", "802.3ad", "--lacp-rate", "fast")
	one := func() (bond string) {
		w.t.Helper()
		groups := map[string][]string{"bond0": {"eth1", "eth2"}, "bond1": {"eth3", "eth4"}}
		labtest.Eventually(t, "one group is used", func() bool {
			used := w.agreed().distributing()
			for name, of := range groups {
				if slices.Equal(used, of) && len(p.distributing(name)) == 2 {
					bond = name
				}
			}
			return bond != ""
		})
		return bond
	}
	labtest.Eventually(t, "all ports hear somebody", func() bool {
		a := w.agreed()
		return !slices.ContainsFunc(nics(4), func(nic string) bool {
			return a.member(t, nic).LACP.Receive != "CURRENT"
		})
	})
	first := one()
	cables, standby, second := []string{"eth1", "eth2"}, []string{"eth3", "eth4"}, "bond1"
	if first == "bond1" {
		cables, standby, second = standby, cables, "bond0"
	}
	a := w.await("a warning of two partners", func(s *api.Status) bool {
		return slices.ContainsFunc(s.Warnings, func(h string) bool { return strings.Contains(h, "two different") })
	})
	t.Log(a.Warnings)
	labtest.Eventually(t, "the other group stands by", func() bool {
		a := w.agreed()
		return a.member(t, standby[0]).LACP.Mux == "ATTACHED" && a.member(t, standby[1]).State == "standby"
	})

	tr := w.traffic(lab.Stream{Rate: 2000, Flows: 16})
	before := time.Now()
	for _, nic := range cables {
		labtest.Must(t, w.cables[nic].Cut())
	}
	w.awaitAgreement(p, second, standby...)
	out, in := tr.gap(before)
	t.Logf("%s took over from %s: nothing out for %v, nothing in for %v", second, first, out, in)
	// Ports of a new aggregator would wait 2 s for others.
	if max(out, in) > 2*time.Second {
		t.Errorf("the change-over took %v out, %v in", out, in)
	}
	for _, nic := range cables {
		labtest.Must(t, w.cables[nic].Mend())
	}
	labtest.Eventually(t, "the first group stands by", func() bool {
		return w.agreed().member(t, cables[0]).LACP.Mux == "ATTACHED"
	})
	if used := w.agreed().distributing(); !slices.Equal(used, standby) {
		t.Errorf("used are %v, and %v worked", used, standby)
	}

	begun := tr.out.Report()
	labtest.Cable(t, w.box, "eth5", w.box, "eth6", lab.CableOptions{EagerCarrier: true})
	w.nicteam("add", teamName, "eth5", "eth6")
	a = w.await("a warning of the loop", func(s *api.Status) bool {
		return slices.ContainsFunc(s.Warnings, func(h string) bool {
			return strings.Contains(h, "eth5") && strings.Contains(h, "own LACPDUs")
		})
	})
	t.Log(a.Warnings)
	tr.awaitFrames(2000)
	if s := w.agreed(); !slices.Equal(s.distributing(), standby) || s.member(t, "eth5").Collecting ||
		s.member(t, "eth5").LACP.Why == "" {
		t.Errorf("with a loop: %v send, %+v", s.distributing(), s.member(t, "eth5"))
	}
	intoLoop := link(t, w.box, "eth5").Statistics.TxPackets + link(t, w.box, "eth6").Statistics.TxPackets
	w.nicteam("remove", teamName, "eth5", "eth6")
	// A third and more would go there. Frames that are lost elsewhere are a switch's that was not run for a moment.
	if outs, _ := tr.stop(); intoLoop > (outs.Sent-begun.Sent)/10 {
		t.Errorf("%d frames of %d were sent into a loop", intoLoop, outs.Sent-begun.Sent)
	}
	if s := w.agreed(); s.hint("own LACPDUs") != "" {
		t.Errorf("the loop is gone, and %v", s.Warnings)
	}
}

// TestLACPNobodyAnswers is on a switch without LACP: one member works alone, or none, as configured, and the status
// says what to check.
func TestLACPNobodyAnswers(t *testing.T) {
	parallelWithTimers(t)
	w := newWorld(t, worldOptions{Cables: true, Datapath: "fastpath"})
	w.create(nics(2), "--mode", "802.3ad")
	conn := w.startEcho()
	if s := w.agreed(); len(s.distributing()) != 1 || s.member(t, "eth2").LACP.Counters.PDUsOut == 0 {
		t.Errorf("%s %s: %v send, %+v", s.State, s.Reason, s.distributing(), s.member(t, "eth2"))
	}
	s := w.await("a warning that nobody answers", func(s *api.Status) bool {
		return s.State == "degraded" && slices.ContainsFunc(s.Warnings, func(h string) bool {
			return strings.Contains(h, "no LACPDU")
		})
	})
	t.Log(s.Warnings)

	w.nicteam("set", teamName, "lacp_fallback=off", "--force")
	w.await("down", func(s *api.Status) bool { return s.State == "down" && !s.Adapter.Carrier })
	if used := w.agreed().distributing(); len(used) > 0 {
		t.Errorf("with lacp_fallback=off %v send", used)
	}
	w.set("lacp_fallback=on")
	w.await("a member works alone again", func(s *api.Status) bool {
		return s.State == "degraded" && s.Adapter.Carrier
	})
	conn.check("after lacp_fallback=on")
	labtest.Must(t, w.cables[w.agreed().distributing()[0]].Cut())
	conn.check("after the member that worked alone lost its carrier")
}

// TestLACPOutOfReach: create restores the NICs if no NIC may work alone and no partner answers, since the user may be
// on that network.
func TestLACPOutOfReach(t *testing.T) {
	parallelWithTimers(t)
	w := newWorld(t, worldOptions{Cables: true, Datapath: "relay"})
	before, err := lab.SettledSnapshot(t.Context(), w.box)
	labtest.Must(t, err)
	checkRefused(t, w.try("create", teamName, "eth1", "eth2", "--mode", "802.3ad", "--lacp-fallback", "off"), 6,
		"unreachable", "nobody answers", "--lacp-fallback on")
	w.checkUnchangedSnapshot(before)
}
