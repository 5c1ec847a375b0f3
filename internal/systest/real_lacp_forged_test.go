// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/lacp"
)

// info returns an end of a link as a LACPDU has it.
func (e *agreedEnd) info(t testing.TB) lacp.Info {
	t.Helper()
	mac, err := frame.ParseMAC(e.System)
	labtest.Must(t, err)
	i := lacp.Info{System: lacp.SystemID{Priority: e.SystemPriority, MAC: mac}, Key: e.Key, Port: e.Port,
		PortPriority: 255}
	for bit := range 8 {
		if s := lacp.State(1 << bit); slices.Contains(e.State, s.Names()[0]) {
			i.State |= s
		}
	}
	return i
}

// TestLACPForged injects forged LACPDUs on the cable between two teams, at each LACP rate and on each data path: both
// teams go on with both cables, no flow loses a frame, and neither end loses synchronization.
func TestLACPForged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, rate string }{{"relay", "fast"}, {"fastpath", "slow"}} {
		t.Run(fmt.Sprintf("%s, %s", tt.path, tt.rate), func(t *testing.T) {
			parallelWithTimers(t)
			w, both := newTwoTeams(t, 2, tt.path), nics(2)
			create := append(append([]string{"create", teamName}, both...), "--mode", "802.3ad", "--lacp-rate", tt.rate)
			w.nicteam(create...)
			w.runOnPeer(tt.path, create...)
			w.agree(both...)
			// Injects at the other end of the cable, past the team there.
			forger := w.raw(w.peer, "eth2")
			labtest.Must(t, unix.SetsockoptInt(forger.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1))
			before := w.nicteam("events", teamName)
			tr := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			const elsewhere = frame.MAC(0x02dd00000001)
			for _, f := range []struct {
				name  string
				forge func(d *lacp.PDU)
			}{
				{"another system", func(d *lacp.PDU) { d.Actor.System.MAC = elsewhere }},
				{"another key", func(d *lacp.PDU) { d.Actor.Key++ }},
				{"another port", func(d *lacp.PDU) { d.Actor.Port++ }},
				{"who knows nobody", func(d *lacp.PDU) { d.Actor.Key++; d.Actor.State, d.Partner = 0, lacp.Info{} }},
				{"the partner out of sync", func(d *lacp.PDU) { d.Actor.State = 0 }},
			} {
				m := w.agreed().member(t, "eth2")
				d := lacp.PDU{Version: lacp.Version, Actor: m.LACP.Partner.info(t), Partner: m.LACP.Actor.info(t)}
				f.forge(&d)
				forger.send(d.Frame(elsewhere))
				labtest.Eventually(t, f.name+" to be heard", func() bool {
					return w.agreed().member(t, "eth2").LACP.Counters.Foreign > m.LACP.Counters.Foreign
				})
				heard := w.agreed().member(t, "eth2").LACP.Counters
				labtest.Eventually(t, "the partner to be heard", func() bool {
					is := w.agreed().member(t, "eth2").LACP.Counters
					return is.PDUsIn-is.Foreign > heard.PDUsIn-heard.Foreign || tt.rate == "slow" &&
						is.PDUsIn-is.Foreign > m.LACP.Counters.PDUsIn-m.LACP.Counters.Foreign
				})
				if got := w.agreed(); !slices.Equal(got.distributing(), both) || got.State != "up" {
					t.Errorf("after %s: %v send, %s (%s)", f.name, got.distributing(), got.State, got.Reason)
				}
			}
			// A LACPDU of our own system, not yet a loop.
			m := w.agreed().member(t, "eth2")
			own := lacp.PDU{Version: lacp.Version, Actor: m.LACP.Actor.info(t), Partner: m.LACP.Partner.info(t)}
			forger.send(own.Frame(elsewhere))
			labtest.Eventually(t, "the own one to be heard", func() bool {
				return w.agreed().member(t, "eth2").LACP.Counters.Bad > m.LACP.Counters.Bad
			})
			tr.awaitFrames(500)
			out, in := tr.stop()
			for way, r := range map[string]lab.Report{"out": out, "in": in} {
				if r.Lost+r.Duplicated+r.Corrupt != 0 {
					t.Errorf("%s: lost %d, doubled %d, corrupt %d of %d", way, r.Lost, r.Duplicated, r.Corrupt, r.Sent)
				}
			}
			for _, h := range []*lab.Host{w.box, w.peer} {
				if got := agreedIn(t, h); !slices.Equal(got.distributing(), both) || got.State != "up" {
					t.Errorf("in the end %v send, %s (%s)", got.distributing(), got.State, got.Reason)
				}
			}
			said := strings.TrimPrefix(w.nicteam("events", teamName), before)
			for _, bad := range []string{"member-down", "team-degraded", "team-down", "partner-changed", "loop",
				"panic"} {
				if strings.Contains(said, bad) {
					t.Errorf("event %s:\n%s", bad, said)
				}
			}
			if !strings.Contains(said, "partner-contested") {
				t.Errorf("nobody is told:\n%s", said)
			}
		})
	}
}
