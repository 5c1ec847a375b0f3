// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// newPartners makes a world with Open vSwitch as the switch, without bonds yet.
func newPartners(t testing.TB, n int, path string) (*world, *partner) {
	t.Helper()
	labtest.Root(t)
	labtest.Tool(t, "ovs-vswitchd", "openvswitch-switch")
	w := &world{t: t, box: labtest.Host(t, "box"), peer: labtest.Host(t, "peer"),
		wires: map[string]*lab.Wire{}, cables: map[string]*lab.Cable{}, datapath: path}
	p := &partner{t: t, host: labtest.Host(t, "partner")}
	for i := 1; i <= n; i++ {
		nic := fmt.Sprintf("eth%d", i)
		// The protocol is to be measured, not the delay of carrier events.
		w.cables[nic] = labtest.Cable(t, w.box, nic, p.host, fmt.Sprintf("p%d", i),
			lab.CableOptions{EagerCarrier: true})
	}
	labtest.Cable(t, w.peer, "eth0", p.host, "uplink", lab.CableOptions{EagerCarrier: true})
	labtest.Must(t, w.box.SetAddr("eth1", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, w.peer.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
	var err error
	p.OVS, err = lab.NewOVS(t.Context(), p.host, lab.OVSOptions{TSO: true})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, p.Close()) })
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := p.Ask(context.Background(), "lacp/show")
			t.Logf("Open vSwitch says\n%s\nits log ends\n%s", said, p.Log())
		}
	})
	t.Cleanup(w.showLog)
	return w, p
}

// partner is Open vSwitch at the other end of box's cables.
type partner struct {
	*lab.OVS
	t    testing.TB
	host *lab.Host
}

// bonds configures bonds and the uplink of the switch's bridge.
func (p *partner) bonds(bonds ...lab.OVSBond) {
	p.t.Helper()
	labtest.Must(p.t, p.Bridge(p.t.Context(), "br0", bonds, "uplink"))
}

// set runs ovs-vsctl.
func (p *partner) set(args ...string) {
	p.t.Helper()
	labtest.Must(p.t, p.Set(p.t.Context(), args...))
}

// members returns the members of a bond as the switch sees them.
func (p *partner) members(bond string) []lab.OVSMember {
	p.t.Helper()
	m, err := p.LACP(p.t.Context(), bond)
	labtest.Must(p.t, err)
	return m
}

// member returns one member of a bond.
func (p *partner) member(bond, port string) lab.OVSMember {
	p.t.Helper()
	for _, m := range p.members(bond) {
		if m.Name == port {
			return m
		}
	}
	p.t.Fatalf("bond %s has no member %s", bond, port)
	return lab.OVSMember{}
}

// distributing returns the ports of a bond that send and receive, as the switch sees it.
func (p *partner) distributing(bond string) (ports []string) {
	p.t.Helper()
	for _, m := range p.members(bond) {
		if m.Works() {
			ports = append(ports, m.Name)
		}
	}
	return ports
}

// agreement is the LACP part of `nicteam status --json`, by the key names of the contract.
type agreement struct {
	State, Reason string
	Warnings      []string
	LACP          *struct {
		Aggregator     int
		Actor, Partner agreedSystem
	}
	Members []agreedMember
}

type agreedSystem struct {
	System         string
	SystemPriority uint16 `json:"system_priority"`
	Key            uint16
}

type agreedEnd struct {
	agreedSystem
	Port  uint16
	State []string
}

type agreedMember struct {
	Name, State, Reason      string
	Link                     bool
	Collecting, Distributing bool
	LACP                     *struct {
		Actor, Partner         agreedEnd
		Aggregator             int
		Receive, Periodic, Mux string
		Why                    string
		Counters               struct {
			PDUsIn  uint64 `json:"lacpdu_rx"`
			PDUsOut uint64 `json:"lacpdu_tx"`
			Bad     uint64
			Foreign uint64 `json:"lacpdu_foreign"`
		}
	}
}

// agreedIn returns the LACP status of a host's team.
func agreedIn(t testing.TB, h *lab.Host) *agreement {
	t.Helper()
	var r result
	labtest.Eventually(t, "an answer to nicteam status", func() bool {
		r = run(t, h, nil, "status", teamName, "--json")
		return r.Code != noAnswer
	})
	a := &agreement{}
	if err := json.Unmarshal([]byte(r.Out), a); err != nil {
		t.Fatalf("nicteam status: exit %d: %v\n%s%s", r.Code, err, r.Out, r.Err)
	}
	return a
}

func (w *world) agreed() *agreement {
	w.t.Helper()
	return agreedIn(w.t, w.box)
}

// distributing returns the members that distribute.
func (a *agreement) distributing() (nics []string) {
	for _, m := range a.Members {
		if m.Distributing {
			nics = append(nics, m.Name)
		}
	}
	slices.Sort(nics)
	return nics
}

func (a *agreement) member(t testing.TB, nic string) agreedMember {
	t.Helper()
	for _, m := range a.Members {
		if m.Name == nic && m.LACP != nil {
			return m
		}
	}
	t.Fatalf("no member %s with LACP in %+v", nic, a)
	return agreedMember{}
}

// hint returns the first warning that contains a word, "" if none does.
func (a *agreement) hint(word string) string {
	for _, h := range a.Warnings {
		if strings.Contains(h, word) {
			return h
		}
	}
	return ""
}

// awaitAgreement waits until box sends by exactly these NICs and the partner's bond by the ports at their other ends.
func (w *world) awaitAgreement(p *partner, bond string, nics ...string) {
	w.t.Helper()
	var ports []string
	for _, nic := range nics {
		ports = append(ports, "p"+strings.TrimPrefix(nic, "eth"))
	}
	labtest.Eventually(w.t, fmt.Sprintf("box sends by %v, and %s by %v", nics, bond, ports), func() bool {
		return slices.Equal(w.agreed().distributing(), nics) && slices.Equal(p.distributing(bond), ports)
	})
}

// checkSpread waits until frames have passed each of these NICs both ways.
func (w *world) checkSpread(when string, nics ...string) {
	w.t.Helper()
	w.checkMoves(when+" frames both ways by all of them", true, nics)
}

// checkSends waits until each of these NICs has sent frames.
func (w *world) checkSends(when string, nics ...string) {
	w.t.Helper()
	w.checkMoves(when+" frames leave by all of them", false, nics)
}

func (w *world) checkMoves(what string, in bool, nics []string) {
	w.t.Helper()
	before := w.status()
	labtest.Eventually(w.t, what, func() bool {
		s := w.status()
		for _, nic := range nics {
			was, is := memberOf(w.t, before, nic), memberOf(w.t, s, nic)
			if is.TX.Frames < was.TX.Frames+50 || in && is.RX.Frames < was.RX.Frames+50 {
				return false
			}
		}
		return true
	})
}
