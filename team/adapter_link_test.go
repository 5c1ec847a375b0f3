// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/monitor"
)

// TestAdapterSpeed gives three members speeds and looks at the adapter's in each mode.
func TestAdapterSpeed(t *testing.T) {
	full := func(bps uint64) monitor.Link { return monitor.Link{SpeedBps: bps, Duplex: "full"} }
	tests := []struct {
		name  string
		mode  modes.Kind
		links []monitor.Link
		want  Speed
	}{
		{"elb", modes.ELB, []monitor.Link{full(1e9), full(10e9), full(1e9)}, Speed{12e9, "full"}},
		{"round-robin", modes.RoundRobin, []monitor.Link{full(1e9), full(10e9), full(1e9)}, Speed{12e9, "full"}},
		{"xor", modes.XOR, []monitor.Link{full(1e9), full(10e9), full(1e9)}, Speed{12e9, "full"}},
		{"active-backup", modes.ActiveBackup, []monitor.Link{full(1e9), full(10e9), full(1e9)}, Speed{1e9, "full"}},
		{"broadcast: the slowest", modes.Broadcast, []monitor.Link{full(10e9), full(1e9), full(25e9)},
			Speed{1e9, "full"}},
		{"broadcast: one unknown", modes.Broadcast, []monitor.Link{{}, full(10e9), full(25e9)}, Speed{10e9, "full"}},
		{"one unknown", modes.XOR, []monitor.Link{{}, full(10e9), full(1e9)}, Speed{11e9, "full"}},
		{"nobody knows", modes.XOR, []monitor.Link{{}, {}, {}}, Speed{}},
		{"the active one does not know", modes.ActiveBackup, []monitor.Link{{}, full(1e9)}, Speed{}},
		{"half duplex", modes.XOR, []monitor.Link{{SpeedBps: 1e7, Duplex: "half"}, full(1e9)},
			Speed{1_010_000_000, "half"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *settings.Config) { c.Mode = tt.mode })
			for i, l := range tt.links {
				r.join(i + 1)
				r.linkAs(i+1, true, l)
			}
			r.run(time.Second)
			if got := r.out.Speed; got != tt.want || r.l.Status().Adapter.SpeedBps != tt.want.Bps {
				t.Errorf("%+v, want %+v; status %d", got, tt.want, r.l.Status().Adapter.SpeedBps)
			}
		})
	}
}

// TestAdapterSpeedFollows has members come, go, change their speed and drain.
func TestAdapterSpeedFollows(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	check := func(when string, want uint64) {
		t.Helper()
		if got := r.out.Speed.Bps; got != want {
			t.Errorf("%s: %d, want %d", when, got, want)
		}
	}
	r.do(Tick{})
	check("no members", 0)
	r.join(1)
	r.join(2)
	check("no links", 0)
	r.link(1, true)
	check("one link", 1e9)
	r.link(2, true)
	check("two links", 2e9)
	r.linkAs(2, true, monitor.Link{SpeedBps: 1e8, Duplex: "full"})
	check("one is slower", 11e8)
	r.link(1, false)
	check("one is down", 1e8)
	r.link(1, true)
	r.do(Drain{Name: "eth2"})
	r.run(time.Second)
	check("one drains", 1e9)
	r.do(Undrain{Name: "eth2"})
	r.run(time.Second)
	r.do(Leave{Name: "nobody"})
	check("a refused input", 11e8)
	c := r.l.Config()
	c.Mode = modes.ActiveBackup
	r.do(Change{Config: c})
	check("active-backup", 1e9)
	r.gone(1)
	check("the active one is gone", 1e8)
	r.gone(2)
	check("all are gone", 0)
}

// TestTeamSetsSpeed counts the calls of the adapter: one a change.
func TestTeamSetsSpeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2) // active-backup
		time.Sleep(time.Hour)
		k.do(func() {
			if len(k.speeds) > 1 && k.speeds[0] == (Speed{}) { // before it had members
				k.speeds = k.speeds[1:]
			}
			if diff := cmp.Diff([]Speed{{1e9, "full"}}, k.speeds); diff != "" {
				t.Errorf("speeds (-want +got):\n%s", diff)
			}
		})
		if s := tm.Status(); s.Adapter.SpeedBps != 1e9 {
			t.Errorf("status says %d", s.Adapter.SpeedBps)
		}
	})
}

// TestTeamSpeedRefused has a kernel that takes no speed: the adapter has its carrier all the same.
func TestTeamSpeedRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		k.fail["speed"] = errors.New("operation not supported")
		tm := running(t, k, Options{}, 1)
		if !tm.Status().Adapter.Carrier {
			t.Error("no carrier")
		}
	})
}

// TestInheritedCarrierIsTakenOff: the adapter has its carrier from the process before; if no member has a link any more
// when the next one begins, it is taken off, however soon that is known.
func TestInheritedCarrierIsTakenOff(t *testing.T) {
	for _, carrier := range []bool{false, true} {
		r := elbOf(t, 1)
		k := newKernel()
		k.carrier = true
		tm, err := New(Options{Config: r.l.Config(), MAC: adapterMAC, Adapter: k, Datapath: k, Source: k,
			Checkpoint: r.l.Checkpoint(r.now)})
		if err != nil {
			t.Fatal(err)
		}
		is := tm.applyAdapterLink(nil, adapterLink{carrier: carrier})
		if k.carrier != carrier || is.carrier != carrier {
			t.Errorf("carrier %v, noted %v, want %v", k.carrier, is.carrier, carrier)
		}
	}
}
