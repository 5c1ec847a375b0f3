// SPDX-License-Identifier: MIT

package systest

import (
	"slices"
	"testing"

	"nicteam/internal/lab"
)

// TestModeChangesLive changes through all modes under traffic both ways. The switch has no LAG: frames to box come by
// the port that it has learned last.
func TestModeChangesLive(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 3}.on(path))
		w.create(nics(3), "--mode", "active-backup")
		before, conn := w.identity(), w.startEcho()
		tr := w.traffic(lab.Stream{Rate: 5000})
		tr.awaitFrames(1000)
		lost := func() (out, in uint64) {
			o, i := tr.out.Report(), tr.in.Report()
			return o.Lost, i.Lost
		}
		for _, mode := range []string{"xor", "round-robin", "active-backup", "broadcast", "xor", "active-backup",
			"round-robin", "broadcast", "active-backup"} {
			w.set("mode=" + mode)
			conn.check("in mode " + mode)
			tr.awaitFrames(500)
			if s := w.status(); s.Mode != mode || s.State != "up" {
				t.Errorf("mode %s, state %s, want %s, up", s.Mode, s.State, mode)
			}
			if got := w.identity(); got != before {
				t.Errorf("in mode %s the adapter is %s, was %s", mode, got, before)
			}
			out, in := lost()
			t.Logf("%s: lost or under way: out %d, in %d", mode, out, in)
		}
		out, in := tr.stop()
		if out.Lost+out.Refused+out.Corrupt != 0 || in.Lost+in.Duplicated > stalled(in) || in.Corrupt != 0 {
			t.Error("frames lost, corrupt or doubled")
		}
	})
}

// TestActiveByHand changes the active member under traffic: nothing is lost or duplicated.
func TestActiveByHand(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, tt := range []struct {
			name  string
			world worldOptions
		}{
			{"learning switch", worldOptions{NICs: 3}},
			{"flooding switch", worldOptions{NICs: 3, Flooding: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, tt.world.on(path))
				w.create(nics(3), "--mode", "active-backup")
				conn := w.startEcho()
				tr := w.traffic(lab.Stream{Rate: 5000})
				tr.awaitFrames(2000)
				for _, nic := range []string{"eth2", "eth3", "eth1", "eth2"} {
					w.set("active=" + nic)
					if got := w.status().Active; got != nic {
						t.Errorf("active is %q, want %q", got, nic)
					}
					tr.awaitFrames(800)
					conn.check("with active " + nic)
				}
				out, in := tr.stop()
				if out.Lost+out.Duplicated+out.Corrupt != 0 || out.Reordered > reorderedBound(out) ||
					in.Lost+in.Duplicated > tt.world.lossBound(in) || in.Reordered > reorderedBound(in) ||
					in.Corrupt != 0 {
					t.Error("not clean")
				}
			})
		}
	})
}

// TestBalanceOffAndOn: with balance=off one NIC is active and the others stand by.
func TestBalanceOffAndOn(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 3}.on(path))
		w.create(nics(3), "--mode", "round-robin")
		tr := w.traffic(lab.Stream{Rate: 5000})
		moved := func() map[string]uint64 {
			before := w.status()
			tr.awaitFrames(1000)
			got := map[string]uint64{}
			for _, m := range w.status().Members {
				got[m.Name] = m.TX.Frames - memberOf(t, before, m.Name).TX.Frames
			}
			return got
		}
		w.set("balance=off")
		s := w.status()
		if s.Balance || s.Active == "" || s.State != "up" || s.Mode != "round-robin" {
			t.Errorf("off: balance %v, active %q, state %s, mode %s", s.Balance, s.Active, s.State, s.Mode)
		}
		for nic, n := range moved() {
			if (n > 100) != (nic == s.Active) {
				t.Errorf("off: %s sent %d frames, active is %s", nic, n, s.Active)
			}
			if state := w.member(nic).State; (state == "standby") != (nic != s.Active) {
				t.Errorf("off: %s is %s", nic, state)
			}
		}
		w.set("balance=on")
		for nic, n := range moved() {
			if n < 300 {
				t.Errorf("on: %s sent %d frames, want a third", nic, n)
			}
		}
		if s := w.status(); !s.Balance || s.Active != "" {
			t.Errorf("on: balance %v, active %q", s.Balance, s.Active)
		}
		out, in := tr.stop()
		if out.Lost+out.Duplicated != 0 || in.Lost+in.Duplicated > stalled(in) {
			t.Error("frames lost or doubled")
		}
	})
}

// TestSettingsLive changes weight, hash and MTU of a running team and reads them back.
func TestSettingsLive(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{LAG: true})
	w.create(nics(2), "--mode", "xor")
	before, conn := w.identity(), w.startEcho()
	tr := w.traffic(lab.Stream{Rate: 5000})
	members := func() (eth2 int, all []string) {
		for i := range 20 {
			m := w.explain(udpFlow(firstPort+i, 9)).Member
			all = append(all, m)
			if m == "eth2" {
				eth2++
			}
		}
		return eth2, all
	}
	w.set("weight.eth2=9")
	if n, _ := members(); n < 12 || w.member("eth2").Weight != 9 {
		t.Errorf("%d of 20 flows on eth2 with weight 9, status says %v", n, w.member("eth2").Weight)
	}
	w.set("weight.eth2=1", "hash=layer2+3")
	_, all := members()
	if len(slices.Compact(all)) != 1 {
		t.Errorf("flows between two addresses are on %v with hash layer2+3", all)
	}
	w.set("hash=layer3+4")
	if n, _ := members(); n == 0 || n == 20 {
		t.Errorf("%d of 20 flows on eth2 with hash layer3+4", n)
	}
	tr.awaitFrames(500)
	out, in := tr.stop()
	if out.Lost+out.Duplicated != 0 || in.Lost+in.Duplicated > stalled(in) {
		t.Error("frames lost or doubled")
	}

	w.set("mtu=1400")
	if got := link(t, w.box, teamName).MTU; got != 1400 || w.status().Adapter.MTU != 1400 {
		t.Errorf("MTU of the adapter is %d, status says %d", got, w.status().Adapter.MTU)
	}
	conn.check("with MTU 1400")
	w.set("mtu=1500")
	conn.check("with MTU 1500")

	r := w.try("set", teamName, "mtu=1450", "hash=layer5")
	if r.Code == 0 || link(t, w.box, teamName).MTU != 1500 {
		t.Errorf("half of a bad set: exit %d, MTU %d", r.Code, link(t, w.box, teamName).MTU)
	}
	if got := w.identity(); got != before {
		t.Errorf("the adapter is %s, was %s", got, before)
	}
	for _, setting := range []string{"mode=nonsense", "weight.eth9=2", "active=eth9", "balance=maybe", "up_delay=5"} {
		if r := w.try("set", teamName, setting); r.Code == 0 || r.Err == "" {
			t.Errorf("set %s: exit %d, %q", setting, r.Code, r.Err)
		}
	}
	if s := w.status(); s.Mode != "xor" || s.Settings.Hash != "layer3+4" || !s.Balance ||
		memberOf(t, s, "eth2").Weight != 1 {
		t.Errorf("bad settings had an effect: %+v", s)
	}
}
