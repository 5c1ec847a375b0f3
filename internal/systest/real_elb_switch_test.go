// SPDX-License-Identifier: MIT

package systest

import (
	"testing"

	"nicteam/internal/lab"
)

// TestELBSwitchesLive changes from elb to every other mode and back, and through the settings of elb, under traffic
// both ways. At the end box is restored. The switch has no LAG.
func TestELBSwitchesLive(t *testing.T) {
	t.Parallel()
	for _, tt := range pathsAndSwitches("relay") {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 3, Flooding: tt.flooding}.on(tt.path))
			host := w.state()
			w.create(nics(3))
			before, conn := w.identity(), w.startEcho()
			tr := w.traffic(lab.Stream{Rate: 2000})
			for _, change := range []string{
				"balance=off", "balance=on", "receive_balance=off", "balance=off", "receive_balance=on", "balance=on",
				"mode=active-backup", "mode=elb", "mode=balance-tlb", "mode=balance-alb",
			} {
				w.set(change)
				conn.check("after " + change)
				tr.awaitFrames(200)
				if s := w.status(); s.State != "up" {
					t.Errorf("after %s: %s, %s", change, s.State, s.Reason)
				}
				if got := w.identity(); got != before {
					t.Errorf("after %s the adapter is %s, was %s", change, got, before)
				}
				out, in := tr.out.Report(), tr.in.Report()
				t.Logf("%s: lost or under way: out %d, in %d; doubled %d, %d; overtaken %d, %d", change, out.Lost,
					in.Lost, out.Duplicated, in.Duplicated, out.Reordered, in.Reordered)
			}
			if s := w.status(); s.Mode != "elb" || !s.Balance || !s.Settings.ReceiveBalance {
				t.Errorf("mode %s, balance %v, receive_balance %v", s.Mode, s.Balance, s.Settings.ReceiveBalance)
			}
			out, in := tr.stop()
			if out.Lost > out.Sent/100 || in.Lost > in.Sent/100 || out.Corrupt+in.Corrupt != 0 {
				t.Error("frames lost or corrupt")
			}
			amiss := worldOptions{Flooding: tt.flooding}.lossBound(in)
			if out.Duplicated > 0 || in.Duplicated > amiss {
				t.Error("frames doubled")
			}

			// These modes need a LAG at the switch: a flooding switch duplicates, and broadcast does so on any.
			all := w.traffic(lab.Stream{Rate: 2000})
			for _, mode := range []string{"xor", "elb", "round-robin", "elb", "broadcast", "elb"} {
				w.set("mode=" + mode)
				conn.check("in mode " + mode)
				all.awaitFrames(200)
			}
			out, in = all.stop()
			if out.Corrupt+in.Corrupt != 0 || !tt.flooding && in.Duplicated != 0 {
				t.Error("frames corrupt or doubled")
			}
			// Frames that wait in a socket during the change are judged by the new mode, which may not accept them
			// there: their number depends on how long the process was not run.
			if *soak && (out.Lost > out.Sent/100 || in.Lost > in.Sent/100) {
				t.Error("frames lost")
			}

			tr = w.traffic(lab.Stream{Rate: 2000})
			if out, in := tr.stop(); out.Lost+out.Duplicated+out.Corrupt != 0 || out.Reordered > 1+reorderBound(out) ||
				!in.Clean() {
				t.Error("not clean after all changes")
			}
			w.nicteam("delete", teamName)
			w.checkUnchanged("after delete", host)
			w.checkNoFiles("after delete")
		})
	}
}
