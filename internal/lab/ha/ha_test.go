// SPDX-License-Identifier: MIT

package ha

import (
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	files "nicteam/testdata/ha"
)

const ms = int64(time.Millisecond)

// TestGapBeginsWithAnUnansweredDatagram: time in which nothing was sent is no gap.
func TestGapBeginsWithAnUnansweredDatagram(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sent    []int64 // ms
		back    [][2]int64
		want    int64 // longest gap above the floor, ms
		doubled int
	}{
		{"all answered", []int64{0, 5, 10}, [][2]int64{{0, 1}, {1, 6}, {2, 11}}, 0, 0},
		{"two lost", []int64{0, 5, 10, 15}, [][2]int64{{0, 1}, {3, 16}}, 11, 0},
		{"the sender stood still", []int64{0, 100}, [][2]int64{{0, 1}, {1, 101}}, 0, 0},
		{"a late answer", []int64{0, 5}, [][2]int64{{0, 1}, {1, 30}}, 25, 0},
		{"the first is lost", []int64{0, 5, 10}, [][2]int64{{2, 11}}, 11, 0},
		{"one twice", []int64{0, 5}, [][2]int64{{0, 1}, {0, 2}, {1, 6}}, 0, 1},
		{"what was never sent", []int64{0}, [][2]int64{{7, 1}, {0, 2}}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &pulse{last: -1, back: make([]bool, len(tt.sent))}
			for _, at := range tt.sent {
				f.sent = append(f.sent, at*ms)
			}
			for _, b := range tt.back {
				f.take(int(b[0]), b[1]*ms)
			}
			var worst int64
			for _, g := range f.gaps {
				worst = max(worst, (g.to-g.from)/ms)
			}
			if worst != tt.want || f.doubled != tt.doubled {
				t.Errorf("longest gap %d ms, %d doubled, want %d ms, %d", worst, f.doubled, tt.want, tt.doubled)
			}
		})
	}
}

func TestHolders(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.168.0.1")
	begun := time.Now().Add(-time.Minute)
	at := func(n int) time.Time { return begun.Add(time.Duration(n) * time.Millisecond) }
	h := &Holders{}
	for _, m := range []move{
		{at(0), a, "vs1", true}, {at(1), a, "vs1", true}, // the same again
		{at(2), b, "vs1", true},
		{at(100), a, "vsbak", true}, {at(130), a, "vs1", false},
		{at(200), a, "vs1", true}, {at(205), a, "vsbak", false}, {at(206), a, "vsbak", false},
	} {
		h.record(m)
	}
	if got := h.Both(a, begun.Add(-1)); got != 35*time.Millisecond {
		t.Errorf("both had it for %v, want 35ms", got)
	}
	if got := h.Both(a, at(120)); got != 15*time.Millisecond {
		t.Errorf("both had it for %v after 120 ms, want 15ms", got)
	}
	if got := h.Both(b, begun.Add(-1)); got != 0 {
		t.Errorf("both had %v for %v", b, got)
	}
	if got := h.Moves(at(50)); got != 4 {
		t.Errorf("%d moves, want 4", got)
	}
	if got := h.Of(a); len(got) != 1 || got[0] != "vs1" {
		t.Errorf("%v have it", got)
	}
	if when, ok := h.Came(a, "vsbak", at(50)); !ok || !when.Equal(at(100)) {
		t.Errorf("came at %v, %v", when, ok)
	}
}

// TestPageNamesEachFile: docs/ha.md links all configuration files and no other one.
func TestPageNamesEachFile(t *testing.T) {
	page, err := os.ReadFile("../../../docs/ha.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, part := range strings.Split(string(page), "](../testdata/ha/")[1:] {
		name, _, _ := strings.Cut(part, ")")
		named[name] = true
	}
	err = fs.WalkDir(files.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !named[name] {
			t.Errorf("docs/ha.md does not link %s", name)
		}
		delete(named, name)
		return err
	})
	if err != nil || len(named) > 0 {
		t.Errorf("docs/ha.md links %v, which do not exist (%v)", named, err)
	}
}

// TestPairsDiffer: the files of a pair differ in the host's name, its priority and its addresses only.
func TestPairsDiffer(t *testing.T) {
	differ := func(line string) bool {
		for _, w := range []string{"router_id", "priority", "down_timer_adverts", "IPv4_address",
			"IPv4_Destination_Address", "#"} {
			if strings.HasPrefix(strings.TrimSpace(line), w) {
				return true
			}
		}
		return false
	}
	for _, pair := range [][2]string{{"vs1/keepalived.conf", "vsbak/keepalived.conf"},
		{"vs1/conntrackd.conf", "vsbak/conntrackd.conf"}, {"equal1/keepalived.conf", "equal2/keepalived.conf"}} {
		var text [2][]string
		for i, name := range pair {
			b, err := files.Files.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text[i] = strings.Split(string(b), "\n")
		}
		if len(text[0]) != len(text[1]) {
			t.Fatalf("%v have %d and %d lines", pair, len(text[0]), len(text[1]))
		}
		for n, line := range text[0] {
			if other := text[1][n]; line != other && !differ(line) {
				t.Errorf("%s:%d: %q, in %s %q", pair[0], n+1, line, path.Dir(pair[1]), other)
			}
		}
	}
}
