// SPDX-License-Identifier: MIT

//go:build !race

package monitor_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"nicteam/monitor"
)

func TestDebounce(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		at       time.Duration
		link     bool
		want     bool
		deadline time.Duration // 0: none
	}
	tests := []struct {
		name     string
		up, down time.Duration
		steps    []step
	}{
		{name: "no delays", steps: []step{{0, true, true, 0}, {1 * ms, false, false, 0}, {2 * ms, true, true, 0}}},
		{name: "up-delay", up: 100 * ms, steps: []step{
			{0, true, false, 100 * ms}, {99 * ms, true, false, 100 * ms}, {100 * ms, true, true, 0},
			{101 * ms, false, false, 0}}},
		{name: "a flap cancels the up-delay", up: 100 * ms, steps: []step{
			{0, true, false, 100 * ms}, {50 * ms, false, false, 0}, {60 * ms, true, false, 160 * ms},
			{120 * ms, true, false, 160 * ms}, {160 * ms, true, true, 0}}},
		{name: "down-delay", down: 50 * ms, steps: []step{
			{0, true, true, 0}, {10 * ms, false, true, 60 * ms}, {60 * ms, false, false, 0}}},
		{name: "a flap cancels the down-delay", down: 50 * ms, steps: []step{
			{0, true, true, 0}, {10 * ms, false, true, 60 * ms}, {40 * ms, true, true, 0}, {70 * ms, true, true, 0},
			{80 * ms, false, true, 130 * ms}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Unix(1000, 0)
			d := monitor.Debounce{UpDelay: tt.up, DownDelay: tt.down}
			for _, s := range tt.steps {
				if got := d.Handle(begin.Add(s.at), s.link); got != s.want {
					t.Errorf("at %v link %v: verdict %v, want %v", s.at, s.link, got, s.want)
				}
				var want time.Time
				if s.deadline != 0 {
					want = begin.Add(s.deadline)
				}
				if got := d.Deadline(); !got.Equal(want) {
					t.Errorf("at %v: deadline %v, want %v", s.at, got, want)
				}
			}
		})
	}
}

func TestDebounceHurry(t *testing.T) {
	d := monitor.Debounce{UpDelay: time.Hour}
	if d.SkipUpDelay() {
		t.Error("a link that is down was hurried up")
	}
	if d.Handle(time.Unix(0, 0), true) {
		t.Error("up before its delay")
	}
	if !d.SkipUpDelay() || !d.Deadline().IsZero() {
		t.Error("Hurry did not end the delay")
	}
}

// The verdict is the link state of the last unbroken delay, by a slow reference that looks at
// every millisecond.
func TestDebounceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		up := rapid.IntRange(0, 20).Draw(t, "up")
		down := rapid.IntRange(0, 20).Draw(t, "down")
		links := rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "links") // one a millisecond
		d := monitor.Debounce{UpDelay: time.Duration(up) * time.Millisecond,
			DownDelay: time.Duration(down) * time.Millisecond}
		verdict, link, since := false, false, 0
		for i, l := range links {
			if l != link {
				link, since = l, i
			}
			delay := down
			if link {
				delay = up
			}
			if i-since >= delay {
				verdict = link
			}
			if got := d.Handle(time.UnixMilli(int64(i)), l); got != verdict {
				t.Fatalf("at %d ms: verdict %v, want %v", i, got, verdict)
			}
		}
	})
}
