// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestHistoryIsWhatThePeerCounted: history of each NIC, in both directions, is within 1 % of the counters of NIC and
// peer, and the protocols sum up to the total.
func TestHistoryIsWhatThePeerCounted(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{NICs: 2, NoOffload: true})
	w.create(nics(2))
	shown := func() (all [2]frame.Count, byNIC map[string][2]frame.Count) {
		var h api.History
		labtest.Must(t, json.Unmarshal([]byte(w.nicteam("export", teamName, "--last", "2m", "--step", "1s", "--format",
			"json", "-o", "-")), &h))
		sum := func(rx, tx api.SeriesColumns) (c [2]frame.Count) {
			for way, s := range []api.SeriesColumns{rx, tx} {
				for i := range s.Bytes {
					c[way].Add(frame.Count{Bytes: s.Bytes[i], Frames: s.Frames[i]})
				}
			}
			return c
		}
		var protocols [2]frame.Count
		for _, p := range h.Protocols {
			c := sum(p.RX, p.TX)
			protocols[0].Add(c[0])
			protocols[1].Add(c[1])
		}
		byNIC = map[string][2]frame.Count{}
		for _, m := range h.Members {
			byNIC[m.Name] = sum(m.RX, m.TX)
		}
		if all = sum(h.RX, h.TX); all != protocols {
			t.Errorf("%+v, and its protocols %+v", all, protocols)
		}
		return all, byNIC
	}
	// The history starts in the second second of a team.
	labtest.Eventually(t, "a history", func() bool {
		return w.box.Command(program(t), "export", teamName, "--format", "json", "-o", "-").Run() == nil
	})
	peer := func() [2]frame.Count {
		s := link(t, w.peer, "eth0").Statistics
		return [2]frame.Count{{Bytes: s.TxBytes, Frames: s.TxPackets}, {Bytes: s.RxBytes, Frames: s.RxPackets}}
	}
	kernel := func(nic string) [2]frame.Count {
		rx, tx := w.kernelCount([]string{nic})
		return [2]frame.Count{rx, tx}
	}
	before, nicsBefore := shown()
	peerBefore, kernelBefore := peer(), map[string][2]frame.Count{}
	for _, nic := range nics(2) {
		kernelBefore[nic] = kernel(nic)
	}
	tr := w.traffic(lab.Stream{Rate: 2000, Size: 700, Flows: 8})
	tr.awaitFrames(4000)
	tr.stop()
	near := func(a, b, was, wasB frame.Count) bool {
		got, want := float64(a.Bytes-was.Bytes), float64(b.Bytes-wasB.Bytes)
		frames, wantFrames := float64(a.Frames-was.Frames), float64(b.Frames-wasB.Frames)
		return got > 0.99*want-2000 && got < 1.01*want+2000 && frames > 0.99*wantFrames-20 &&
			frames < 1.01*wantFrames+20
	}
	labtest.Eventually(t, "the history to be what the peer and the NICs have counted", func() bool {
		all, byNIC := shown()
		counted := peer()
		for way := range all {
			if !near(all[way], counted[way], before[way], peerBefore[way]) {
				return false
			}
			for _, nic := range nics(2) {
				if !near(byNIC[nic][way], kernel(nic)[way], nicsBefore[nic][way], kernelBefore[nic][way]) {
					return false
				}
			}
		}
		return true
	})
}
