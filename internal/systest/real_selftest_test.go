// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// securePorts makes the switch drop frames of box that come from another MAC than its NIC's own, as port security and
// hypervisors do.
func (w *world) securePorts() {
	w.t.Helper()
	for nic, wire := range w.wires {
		own := link(w.t, w.box, nic).HardwareAddr
		wire.A.Filter(func(frame []byte) int {
			if bytes.Equal(frame[6:12], own) {
				return 1
			}
			return 0
		})
	}
}

// checkUndone has a change fail that cuts box off, in time, with texts in the reason.
func (w *world) checkUndone(args []string, reason ...string) {
	w.t.Helper()
	program(w.t) // the first one builds it
	began := time.Now()
	r := w.try(args...)
	took := time.Since(began)
	w.t.Logf("back after %v: %s", took.Round(time.Millisecond), r.Err)
	checkRefused(w.t, r, 6, reason...)
	if *soak && took > 6*time.Second {
		w.t.Errorf("back after %v", took)
	}
}

// TestCreateCutsOff creates teams whose frames go nowhere: the host is given back, and is reached as before.
func TestCreateCutsOff(t *testing.T) {
	for _, tt := range []struct {
		name   string
		world  worldOptions
		args   []string
		reason []string
	}{
		{"port security", worldOptions{}, []string{"--mode", "active-backup", "--mac", "new"},
			[]string{"gateway 10.9.0.2", "answered by eth1 before, and not by team0 within 5s", "put back"}},
		{"802.3ad without a partner", worldOptions{Datapath: "relay"},
			[]string{"--mode", "802.3ad", "--lacp-fallback", "off"},
			[]string{"gateway 10.9.0.2", "nobody answers", "--lacp-fallback on"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, tt.world)
			w.useGateway()
			reach(t, w.box, peer4)
			w.securePorts()
			before, err := lab.SettledSnapshot(t.Context(), w.box)
			labtest.Must(t, err)
			w.checkUndone(append([]string{"create", teamName, "eth1", "eth2"}, tt.args...), tt.reason...)
			w.checkUnchangedSnapshot(before)
			reach(t, w.box, peer4)
		})
	}
}

// TestCreateTested says what the self-test of a create has found.
func TestCreateTested(t *testing.T) {
	for _, tt := range []struct{ name, gateway, want string }{
		{"answers", "10.9.0.2", "self-test: gateway 10.9.0.2 answers by team0"},
		{"silent before", "10.9.0.99", "self-test: nothing to ask"},
		{"none", "", "self-test: nothing to ask"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{})
			if tt.gateway != "" {
				w.sh("ip route add default via " + tt.gateway + " dev eth1")
			}
			began := time.Now()
			out := w.nicteam("create", teamName, "eth1", "eth2")
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
			if !strings.Contains(out, tt.want) {
				t.Errorf("%q is not in\n%s", tt.want, out)
			}
		})
	}
}
