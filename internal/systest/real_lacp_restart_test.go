// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/lacp"
)

// TestLACPPartnerSeesNoRestart restarts and kills the process: the next one resumes, and a partner at the fast rate
// never loses synchronization. What leaves is announced to it at once.
func TestLACPPartnerSeesNoRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path   string
		killed bool
	}{{"relay", false}, {"fastpath", true}} {
		t.Run(fmt.Sprintf("%s, killed %v", tt.path, tt.killed), func(t *testing.T) {
			parallelWithTimers(t)
			w, p := newPartners(t, 2, tt.path)
			p.bonds(lab.OVSBond{Name: "bond0", Ports: []string{"p1", "p2"}, Fast: true})
			w.create(nics(2), "--mode", "802.3ad")
			w.awaitAgreement(p, "bond0", nics(2)...)
			conn := w.startEcho()
			before, was := p.members("bond0"), w.agreed().LACP

			doubts := p.unhappyMembers("bond0")
			if tt.killed {
				w.kill(w.teamProcess(), unix.SIGKILL)
				w.supervise()
			} else {
				w.nicteam("restart", teamName)
			}
			// Longer than the partner's timeout.
			heard := p.member("bond0", "p1").Received
			labtest.Eventually(t, "4 more LACPDUs", func() bool { return p.member("bond0", "p1").Received >= heard+4 })
			conn.check("after the restart")
			if d := doubts(); len(d) > 0 {
				t.Errorf("the partner was in doubt: %+v", d[0])
			}
			labtest.Eventually(t, "the partner sees what it saw", func() bool {
				for i, m := range p.members("bond0") {
					if m.Partner != before[i].Partner {
						return false
					}
				}
				return true
			})
			for i, m := range p.members("bond0") {
				if b := before[i]; m.Expired != b.Expired || m.Defaulted != b.Defaulted || m.Carrier != b.Carrier ||
					!m.Works() {
					t.Errorf("the partner sees\n%+v\nand saw\n%+v", m, b)
				}
			}
			// Nor does the team take it for silent, however long nobody asks.
			if said := w.nicteam("events", teamName); strings.Contains(said, "silent") ||
				strings.Contains(said, "team-down") {
				t.Errorf("after the restart:\n%s", said)
			}
			if is := w.agreed(); *is.LACP != *was || is.State != "up" {
				t.Errorf("after the restart %s %+v, was %+v", is.State, is.LACP, was)
			}
			tr := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			w.checkSpread("after the restart", nics(2)...)
			tr.stop()

			// A leaving port says so, and at the end all do.
			ear := w.raw(p.host, "p2")
			w.nicteam("remove", teamName, "eth2")
			ear.awaitFarewell("after remove")
			if m := p.member("bond0", "p1"); !m.Works() {
				t.Errorf("eth2 was removed, and the partner sees eth1 as %+v", m)
			}
			w.nicteam("add", teamName, "eth2")
			w.awaitAgreement(p, "bond0", nics(2)...)
			ears := []*rawSocket{w.raw(p.host, "p1"), w.raw(p.host, "p2")}
			w.nicteam("delete", teamName)
			for _, ear := range ears {
				ear.awaitFarewell("after delete")
			}
		})
	}
}

// unhappyMembers watches a bond of the partner until it is called, and returns the members that did not distribute.
func (p *partner) unhappyMembers(bond string) func() []lab.OVSMember {
	ctx, cancel := context.WithCancel(p.t.Context())
	found := make(chan []lab.OVSMember)
	go func() {
		var all []lab.OVSMember
		for ctx.Err() == nil {
			members, err := p.LACP(ctx, bond)
			for _, m := range members {
				if err == nil && !m.Works() {
					all = append(all, m)
				}
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		found <- all
	}()
	return func() []lab.OVSMember { cancel(); return <-found }
}

// awaitFarewell fails the test unless the last LACPDU says that its sender leaves.
func (s *rawSocket) awaitFarewell(when string) {
	s.t.Helper()
	var last *lacp.PDU
	for f := s.receive(); f != nil; f = s.receive() {
		if pdu, err := lacp.ParsePDU(f); err == nil {
			last = &pdu
		}
	}
	if last == nil || last.Actor.State&(lacp.Synchronization|lacp.Collecting|lacp.Distributing) != 0 {
		s.t.Errorf("%s the last LACPDU is %+v", when, last)
	}
}
