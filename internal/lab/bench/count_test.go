// SPDX-License-Identifier: MIT

package main

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/lab/labtest"
)

// Each subject follows the plain NIC at its kind of peer; the fast path and the kernel's bond are there in each mode.
func TestSubjects(t *testing.T) {
	var names []string
	seen := map[peerKind]bool{}
	for _, s := range (&bench{}).subjects() {
		names = append(names, s.name)
		if s.name == s.peer.baseline() {
			seen[s.peer] = true
		}
		if !seen[s.peer] {
			t.Errorf("%s comes before %s", s.name, s.peer.baseline())
		}
	}
	for _, want := range []string{"plain", "redirect", "bond active-backup", "fastpath elb", "relay active-backup",
		"fastpath round-robin", "bond balance-alb", "fastpath 802.3ad", "plain, peer lacp"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %q in %q", want, names)
		}
	}
	slices.Sort(names)
	if d := cmp.Diff(slices.Compact(slices.Clone(names)), names); d != "" {
		t.Errorf("a name comes twice (-want +got)\n%s", d)
	}
}

func TestCountRowsAreListed(t *testing.T) {
	var rows []string
	for _, c := range countRows {
		rows = append(rows, c.name)
	}
	rows = append(rows, countProcess)
	if d := cmp.Diff(countGroup.measures, rows); d != "" {
		t.Errorf("(-listed +taken)\n%s", d)
	}
	b := &bench{options: options{counting: true, only: regexp.MustCompile("fastpath")}}
	if b.wants(countGroup.measures...) {
		t.Error("-only fastpath takes all measures; -subjects chooses a data path")
	}
}

// The traffic passes whole, and a cut cable is an error, not a figure.
func TestCountedTraffic(t *testing.T) {
	box, peer, cable := cabled(t)
	for _, streams := range []int{1, 8} {
		rate, err := tcpRate(t.Context(), box, peer, peerCIDR, streams)
		labtest.Must(t, err)
		if rate < 10 {
			t.Errorf("%d streams: %.1f Mbit/s, want more than 10", streams, rate)
		}
	}
	before, err := box.Handle().LinkByName("eth1")
	labtest.Must(t, err)
	rate, err := udpRate(t.Context(), box, peer, peerCIDR, framePayload)
	labtest.Must(t, err)
	after, err := box.Handle().LinkByName("eth1")
	labtest.Must(t, err)
	frames := after.Attrs().Statistics.TxPackets - before.Attrs().Statistics.TxPackets
	if rate < 1000 || frames < udpFrames || frames > udpFrames+100*frameBatch {
		t.Errorf("%.0f frames/s, %d frames; want more than 1000, and %d", rate, frames, udpFrames)
	}
	labtest.Must(t, cable.Cut())
	if rate, err := udpRate(t.Context(), box, peer, peerCIDR, framePayload); err == nil {
		t.Errorf("%.0f frames/s over a cut cable, want an error", rate)
	}
}
