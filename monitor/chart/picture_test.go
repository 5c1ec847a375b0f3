package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPictureGolden draws the sample as SVG (compared as text) and PNG (compared in pixels).
func TestPictureGolden(t *testing.T) {
	d := sampleData()
	o := Options{Last: 5 * time.Minute}
	var b bytes.Buffer
	if err := SVG(&b, d, o); err != nil {
		t.Fatal(err)
	}
	golden(t, "nics.svg", b.String())

	o.View, o.Dark, o.Last, o.Unit = ByProtocol, true, 0, Mbit
	b.Reset()
	if err := PNG(&b, d, o); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "protocols.png")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pixels(t, want), pixels(t, b.Bytes())) {
		t.Errorf("%s differs; write it anew with -update and look at it", file)
	}
}

func pixels(t testing.TB, picture []byte) []byte {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	switch m := m.(type) {
	case *image.RGBA:
		return m.Pix
	case *image.NRGBA:
		return m.Pix
	}
	t.Fatalf("picture is %T", m)
	return nil
}

// TestAnyPicture draws anything at any size: SVG stays XML, PNG has its size.
func TestAnyPicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := anyData(t), anyOptions(t)
		o.Width, o.Height = rapid.IntRange(-1, 400).Draw(t, "w"), rapid.IntRange(-1, 300).Draw(t, "h")
		var b bytes.Buffer
		if err := SVG(&b, d, o); err != nil {
			t.Fatal(err)
		}
		for x := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
			if _, err := x.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
		}
		b.Reset()
		if err := PNG(&b, d, o); err != nil {
			t.Fatal(err)
		}
		m, err := png.DecodeConfig(&b)
		if err != nil {
			t.Fatal(err)
		}
		if w, h := o.pictureSize(); m.Width != w || m.Height != h {
			t.Fatalf("%d × %d, not %d × %d", m.Width, m.Height, w, h)
		}
	})
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestPictureNotWritten(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Data, Options) error{"svg": SVG, "png": PNG} {
		if err := write(full{}, sampleData(), Options{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
