// SPDX-License-Identifier: MIT

package chart

import (
	"strings"
	"testing"
	"time"
)

// watchedData is the sample with what link watches say: one NIC loses asks, one is not used, and more is to be noted
// than a small screen has rows for.
func watchedData() Data {
	d := sampleData()
	third := d.Members[1]
	third.Name, third.State, third.Up = "eth2", "no answer", false
	d.Members = append(d.Members, third)
	for i := range d.Members {
		m := &d.Members[i]
		m.Watched, m.RTT = true, time.Duration(i+1)*312*time.Microsecond
	}
	d.Members[1].State, d.Members[1].Doubtful, d.Members[1].Loss = "suspect", true, 0.125
	d.Members[2].Loss = 1
	d.Notes = []string{"eth1: suspect: eth1 sent 9 frames and has heard nothing for 14ms",
		"eth2: gateway 10.9.0.254 does not answer by eth2 (3 of 3 asks), it does by eth0",
		"eth3: flapped 5 times in 60 s, back in 25 s"}
	return d
}

// TestWatchedGolden: round trip times, losses and notes at the sizes that have room for them.
func TestWatchedGolden(t *testing.T) {
	d := watchedData()
	var got strings.Builder
	for _, o := range []Options{{Width: 80, Height: 24}, {Width: 120, Height: 30},
		{Width: 80, Height: 24, Glyphs: ASCII}} {
		o.Last = 2 * time.Minute
		got.WriteString(Screen(d, o).String())
	}
	golden(t, "watched.txt", got.String()+Plain(d, Options{Last: 2 * time.Minute}))
}

// TestNotesFit: at every size the screen has its size, and notes leave the chart its place.
func TestNotesFit(t *testing.T) {
	d := watchedData()
	for w := range 130 {
		for h := range 40 {
			g := Screen(d, Options{Width: w, Height: h, Last: 2 * time.Minute})
			if len(g) != h || h > 0 && len(g[0]) != w {
				t.Fatalf("%d × %d: the screen has %d rows", w, h, len(g))
			}
			text := g.String()
			if framed := w >= 60 && h >= 16; framed != strings.Contains(text, "eth1: suspect") {
				t.Errorf("%d × %d: notes: %v, want %v:\n%s", w, h, !framed, framed, text)
			}
		}
	}
}
