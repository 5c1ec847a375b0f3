// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func cabled(t *testing.T) (box, peer *lab.Host, cable *lab.Cable) {
	box, peer = labtest.Host(t, "box"), labtest.Host(t, "peer")
	cable, err := lab.NewCable(box, "eth1", peer, "eth1", lab.CableOptions{})
	labtest.Must(t, err)
	labtest.Must(t, box.SetAddr("eth1", boxCIDR))
	labtest.Must(t, peer.SetAddr("eth1", peerCIDR))
	return box, peer, cable
}

func TestPing(t *testing.T) {
	box, _, cable := cabled(t)
	times, err := ping(t.Context(), box, peerAddr, 100*time.Millisecond, time.Millisecond)
	labtest.Must(t, err)
	if times.Lost > 0 || len(times.Times) < 10 || times.Quantile(0.5) <= 0 {
		t.Errorf("%v", times)
	}
	labtest.Must(t, cable.Cut())
	if times, err := ping(t.Context(), box, peerAddr, 50*time.Millisecond, 0); err == nil {
		t.Errorf("ping over a cut cable: %v, want an error", times)
	}
}

// A cable loses nothing, as no more is under way than its queues hold; a cut one is an error, not a figure of zero.
func TestFrameRate(t *testing.T) {
	box, peer, cable := cabled(t)
	rate, lost, err := frameRate(t.Context(), box, peer, peerAddr, 300*time.Millisecond)
	labtest.Must(t, err)
	if rate < 1000 || lost != 0 {
		t.Errorf("%.0f frames/s, %.3f lost; want more than 1000 and none", rate, lost)
	}
	before, err := box.Handle().LinkByName("eth1")
	labtest.Must(t, err)
	_, _, err = frameRate(t.Context(), box, peer, peerAddr, 100*time.Millisecond)
	labtest.Must(t, err)
	after, err := box.Handle().LinkByName("eth1")
	labtest.Must(t, err)
	was, is := before.Attrs().Statistics, after.Attrs().Statistics
	// The kernel counts the 60 octets of a frame without its checksum.
	if size := float64(is.TxBytes-was.TxBytes) / float64(is.TxPackets-was.TxPackets); size < 60 || size > 61 {
		t.Errorf("frames of %.1f octets, want 60", size)
	}
	labtest.Must(t, cable.Cut())
	if rate, _, err := frameRate(t.Context(), box, peer, peerAddr, 200*time.Millisecond); err == nil {
		t.Errorf("%.0f frames/s over a cut cable, want an error", rate)
	}
}
