package host

import (
	"strings"
	"testing"
)

func TestShowSpeed(t *testing.T) {
	w := newWorld(t)
	index := w.tap()
	h := w.open(nil)
	for _, c := range []struct {
		bps  uint64
		want string
	}{{10_000_000, "Speed: 10Mb/s"}, {3_500_000_000, "Speed: 3500Mb/s"}, {800_000_000_000, "Speed: 800000Mb/s"}, {0, "Speed: Unknown!"}} {
		must(t, h.ShowSpeed(index, c.bps))
		got := run(t, "ethtool "+teamName)
		if !strings.Contains(got, c.want) || c.bps != 0 && !strings.Contains(got, "Duplex: Full") {
			t.Errorf("%d bit/s: %s", c.bps, got)
		}
	}
}
