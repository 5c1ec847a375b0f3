package chart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
			got := ""
			for _, v := range []View{ByMember, ByProtocol, Total} {
				o := Options{Width: size[0], Height: size[1], Glyphs: g, View: v, Last: 2 * time.Minute}
				if v == ByProtocol {
					o.Unit, o.Scale.Kind = Mbit, Link
				}
				if v == Total {
					o.Last = 0
				}
				got += fmt.Sprintf("%v %v %v\n%s", v, o.Unit, o.Scale, Render(d, o))
			}
			golden(t, fmt.Sprintf("render_%v_%d.txt", g, size[0]), got)
		}
	}
}
