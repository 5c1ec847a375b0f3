// SPDX-License-Identifier: MIT

package chart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestRenderGolden draws the sample in every glyph set, width and view.
func TestRenderGolden(t *testing.T) {
	d := sampleData()
	for _, g := range []Glyphs{Braille, Block, ASCII} {
		for _, size := range [][2]int{{40, 10}, {60, 14}, {80, 18}, {120, 24}} {
			var got strings.Builder
			for _, v := range []View{ByMember, ByProtocol, Total} {
				o := Options{Width: size[0], Height: size[1], Glyphs: g, View: v, Last: 2 * time.Minute}
				if v == ByProtocol {
					o.Unit, o.Scale.Kind = Mbit, Link
				}
				if v == Total {
					o.Last = 0
				}
				got.WriteString(fmt.Sprintf("%v %v %v\n%s", v, o.Unit, o.Scale, renderChart(d, o)))
			}
			golden(t, fmt.Sprintf("render_%v_%d.txt", g, size[0]), got.String())
		}
	}
}

// TestScreenGolden draws whole screens at the sizes that have their own layout.
func TestScreenGolden(t *testing.T) {
	d := sampleData()
	for _, g := range []Glyphs{Braille, Block, ASCII} {
		for _, size := range [][2]int{{40, 10}, {60, 16}, {80, 24}, {120, 30}} {
			o := Options{Width: size[0], Height: size[1], Glyphs: g, Last: 2 * time.Minute,
				Footer: "? help u unit s scale v view Tab NIC ␣ freeze +- zoom e export q quit"}
			got := Screen(d, o).String()
			o.View, o.Unit, o.Scale.Kind = ByProtocol, Mbit, Log
			got += Screen(d, o).String()
			golden(t, fmt.Sprintf("screen_%v_%d.txt", g, size[0]), got)
		}
	}
	var line strings.Builder
	for _, width := range []int{12, 20, 39, 79} {
		line.WriteString(Screen(d, Options{Width: width, Height: 1}).String())
	}
	golden(t, "line.txt", line.String()+Screen(d, Options{Width: 39, Height: 9, Last: 5 * time.Minute}).String())
}

func TestPlainGolden(t *testing.T) {
	d := sampleData()
	d.Members[1].State, d.Members[1].Up = "down: carrier lost", false
	golden(t, "plain.txt", Plain(d, Options{Last: 2 * time.Minute}))
}
