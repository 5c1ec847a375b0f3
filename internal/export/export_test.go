// SPDX-License-Identifier: MIT

package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

var update = flag.Bool("update", false, "write the golden files")

// example is four columns of 10 s, the third of them a gap and the last known in part; eth9 has left.
func example() Traffic {
	from := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	carried := func(v ...uint64) api.SeriesColumns {
		c := api.SeriesColumns{Bytes: v}
		for _, n := range v {
			c.Frames = append(c.Frames, n/1000)
			c.BytesPeak = append(c.BytesPeak, n/5)
			c.FramesPeak = append(c.FramesPeak, n/5000)
		}
		return c
	}
	h := &api.History{Schema: "nicteam.history/v1", Team: "team0",
		From: from, To: from.Add(40 * time.Second), Step: 10e9, Columns: 4,
		Covered: []int64{10e9, 10e9, 0, 4.5e9},
		RX:      carried(1_500_000_000, 900_000_000, 0, 100_000_000), TX: carried(0, 50_000, 0, 0),
		Members: []api.NamedColumns{
			{Name: "eth1", RX: carried(1_000_000_000, 900_000_000, 0, 100_000_000), TX: carried(0, 50_000, 0, 0)},
			{Name: "eth9", RX: carried(500_000_000, 0, 0, 0)},
		},
		Protocols: []api.NamedColumns{
			{Name: "tcp", RX: carried(1_500_000_000, 600_000_000, 0, 100_000_000)},
			{Name: "ipv6-nd", TX: carried(0, 50_000, 0, 0)},
			{Name: "udp"}, {Name: "other", RX: carried(0, 300_000_000, 0, 0)},
		},
		Events: []api.Event{
			{Time: from.Add(15 * time.Second), Team: "team0", Event: "member-down", Member: "eth2",
				Reason: "carrier lost", Took: 420_000},
			{Time: from.Add(15 * time.Second), Team: "team0", Event: "team-degraded", Reason: "eth2 | is\ndown"},
		}}
	s := &api.Status{Team: "team0", Mode: "elb", State: "degraded", Reason: "eth2 is down: carrier lost",
		Members: []api.Member{{Name: "eth1", State: "up", SpeedBps: 2.5e9}, {Name: "eth2", State: "down"}}}
	return Traffic{History: h, Status: s, Location: time.UTC}
}

// one is the same of one NIC.
func one(name string) Traffic {
	t := example()
	t.History.Member = name
	m := t.History.Members[1]
	t.History.RX, t.History.TX, t.History.Members = m.RX, m.TX, []api.NamedColumns{}
	return t
}

func written(t *testing.T, f Format, tr Traffic) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, tr); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	for name, got := range map[string][]byte{
		"team.csv": written(t, CSV, example()), "team.md": written(t, MD, example()),
		"left.csv": written(t, CSV, one("eth9")), "left.md": written(t, MD, one("eth9")),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s (-want +got; go test -update writes it):\n%s", path, d)
		}
	}
}

// TestCSVSums: what is written adds up to what is known, and a gap is empty.
func TestCSVSums(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(written(t, CSV, example()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, r := range rows[1:] {
		if gap := r[1] == "0"; gap != (r[4] == "") {
			t.Errorf("%v", r)
		} else if !gap {
			n, err := json.Number(r[4]).Int64()
			if err != nil {
				t.Fatal(err)
			}
			sums[r[2]] += n
		}
	}
	if d := cmp.Diff(map[string]int64{"team": 25e8, "member": 25e8, "protocol": 25e8}, sums); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestJSONIsTheDocument(t *testing.T) {
	var got api.History
	if err := json.Unmarshal(written(t, JSON, example()), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(example().History, &got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPicturesAreWellFormed(t *testing.T) {
	hostile := example()
	hostile.Status.Members[1].Name = `<&"]]>`
	for _, tr := range []Traffic{example(), one("eth9"), hostile} {
		d := xml.NewDecoder(bytes.NewReader(written(t, SVG, tr)))
		first := ""
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := tok.(xml.StartElement); ok && first == "" {
				first = e.Name.Local
			}
		}
		if first != "svg" {
			t.Errorf("the root is %q", first)
		}
		tr.Picture.Width, tr.Picture.Height = 640, 320
		p, err := png.Decode(bytes.NewReader(written(t, PNG, tr)))
		if err != nil || p.Bounds().Dx() != 640 || p.Bounds().Dy() != 320 {
			t.Errorf("png: %v %v", err, p.Bounds())
		}
	}
	if svg := string(written(t, SVG, example())); !strings.Contains(svg, "eth9") || !strings.Contains(svg, "1/2 up") {
		t.Error("the picture does not tell of all NICs")
	}
}

func TestParseFormat(t *testing.T) {
	for _, s := range []string{"svg", "PNG", "csv", "json", "md", "Markdown"} {
		if _, err := ParseFormat(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "gif", "svg "} {
		if f, err := ParseFormat(s); err == nil || !strings.Contains(err.Error(), Formats()) {
			t.Errorf("%q: %v %v", s, f, err)
		}
	}
}

func TestPictureWords(t *testing.T) {
	for name, p := range map[string]Picture{
		"":      {Width: 160, Height: 8192, Unit: "packets", View: "protocol", Scale: "500M", Dark: true},
		"width": {Width: 159}, "height": {Height: 8193},
		"unit": {Unit: "furlong"}, "view": {View: "sideways"}, "scale": {Scale: "wide"},
	} {
		var b *BadOption
		err := p.Check()
		if errors.As(err, &b) != (name != "") || b != nil && (b.Name != name || b.Err == nil || b.Instead == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	bad := example()
	bad.Picture.Unit = "furlong"
	if err := Write(io.Discard, SVG, bad); err == nil {
		t.Error("drawn all the same")
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWriteErrors(t *testing.T) {
	for _, f := range formats {
		if err := Write(full{}, f, example()); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := Write(io.Discard, "gif", example()); err == nil {
		t.Error("gif is written")
	}
}
