// SPDX-License-Identifier: MIT

package lab_test

import (
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestOVSPartner has two bonds of one switch agree with each other, lose a member, and get it back after the switch was
// killed and started again.
func TestOVSPartner(t *testing.T) {
	h := labtest.Host(t, "partners")
	labtest.Tool(t, "ovs-vswitchd", "openvswitch-switch")
	for _, nic := range []string{"eth1", "eth2"} {
		labtest.Cable(t, h, "a-"+nic, h, "b-"+nic, lab.CableOptions{EagerCarrier: true})
	}
	o, err := lab.NewOVS(t.Context(), h, lab.OVSOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, o.Close()) })
	labtest.Must(t, o.Bridge(t.Context(), "br-a",
		[]lab.OVSBond{{Name: "bond-a", Ports: []string{"a-eth1", "a-eth2"}, Fast: true, Key: 7}}))
	labtest.Must(t, o.Bridge(t.Context(), "br-b", []lab.OVSBond{{Name: "bond-b", Ports: []string{"b-eth1", "b-eth2"},
		Passive: true, System: "02:00:00:00:0b:01"}}))
	members := func(bond string) []lab.OVSMember {
		t.Helper()
		m, err := o.LACP(t.Context(), bond)
		labtest.Must(t, err)
		return m
	}
	working := func(what string, n int) []lab.OVSMember {
		t.Helper()
		var got []lab.OVSMember
		labtest.Eventually(t, what, func() bool {
			got = nil
			for _, m := range members("bond-a") {
				if m.Works() {
					got = append(got, m)
				}
			}
			return len(got) == n
		})
		return got
	}
	m := working("both members work", 2)[0]
	if m.Actor.Key != 7 || m.Partner.System != "02:00:00:00:0b:01" ||
		m.Actor.State != "activity timeout aggregation synchronized collecting distributing" ||
		m.Partner.State != "aggregation synchronized collecting distributing" || m.Actor.Port == 0 ||
		m.Actor.Priority == 0 || m.Received == 0 || m.Sent == 0 {
		t.Errorf("member %+v", m)
	}
	said, err := o.Bond(t.Context(), "bond-a")
	labtest.Must(t, err)
	if !strings.Contains(said, "lacp_status: negotiated") {
		t.Errorf("bond/show says %s", said)
	}
	labtest.Must(t, h.Down("b-eth2"))
	if left := working("one member works", 1); left[0].Name != "a-eth1" {
		t.Errorf("%s works without its partner", left[0].Name)
	}
	labtest.Must(t, h.Up("b-eth2"))
	o.Kill()
	if _, err := o.LACP(t.Context(), "bond-a"); err == nil {
		t.Error("a switch that was killed answers")
	}
	labtest.Must(t, o.Resume(t.Context()))
	working("both members work again", 2)
}
