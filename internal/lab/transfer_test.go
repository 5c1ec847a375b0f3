// SPDX-License-Identifier: MIT

package lab_test

import (
	"context"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestFetch(t *testing.T) {
	a, b, w := wired(t)
	s, err := lab.ServeFiles(b, "10.9.0.2")
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, s.Close()) })
	const size = 5<<20 + 7
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The file arrives whole although frames get lost.
	n := 0
	w.B.Filter(func(frame []byte) int {
		if n++; len(frame) > 1000 && n%500 == 0 {
			return 0
		}
		return 1
	})
	var last int64
	sha, rate, err := s.Fetch(ctx, a, 42, size, func(n int64) { last = n })
	labtest.Must(t, err)
	if sha != s.SHA256(42, size) || sha == s.SHA256(43, size) || rate.Bytes != size || last != size {
		t.Errorf("SHA-256 %s after %d octets (%d), want %s after %d", sha, rate.Bytes, last, s.SHA256(42, size), size)
	}
}

func TestTransferEnds(t *testing.T) {
	a, b, w := wired(t)
	w.A.SwallowTx(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := lab.Transfer(ctx, a, b, "10.9.0.2", 1<<20); err == nil {
		t.Error("a transfer over a dead wire succeeded")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to give up", took)
	}
}

func TestLoadAndEcho(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	c, err := lab.NewCable(a, "eth0", b, "eth0", lab.CableOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, c.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	labtest.Must(t, c.Shape(100e6))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	to := addresses["IPv4"]
	idle, err := lab.Echo(ctx, a, b, to, 50, time.Millisecond)
	labtest.Must(t, err)
	for range 2 { // the second load takes the first one's ports
		load, err := lab.Load{From: a, To: b, Address: to, Flows: 4, FirstPort: 30_000, PortStep: 2}.Start(ctx)
		labtest.Must(t, err)
		labtest.Eventually(t, "a megabyte", func() bool { return load.Rate().Bytes > 1<<20 })
		busy, err := lab.Echo(ctx, a, b, to, 50, time.Millisecond)
		labtest.Must(t, err)
		rate := load.Stop()
		t.Logf("idle %v, at %.0f Mbit/s %v", idle, rate.BitsPerSecond()/1e6, busy)
		if got := rate.BitsPerSecond(); got > 120e6 {
			t.Errorf("rate is %.0f bit/s, shaped to 100 Mbit/s", got)
		}
		if idle.Lost > 0 || busy.Quantile(0.5) < 2*idle.Quantile(0.5) {
			t.Errorf("a full queue must show: idle %v, busy %v", idle, busy)
		}
	}
}
