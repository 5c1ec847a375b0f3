// SPDX-License-Identifier: MIT

package nic

import (
	"runtime"
	"testing"

	"nicteam/internal/lab/labtest"
)

// A socket without frames in hand has no room for any: 64 members would have 128 MiB. The next one that has frames uses
// the same.
func TestSocketsWithoutFramesShareOneRoom(t *testing.T) {
	p := newPair(t, Options{})
	sockets := []*Socket{p.b}
	for range 15 {
		sockets = append(sockets, open(t, p.peer, "b", Options{}))
	}
	labtest.Must(t, p.a.SendControl(testFrame(1)))
	var room *batch
	for i, s := range sockets {
		if s.in.batch != nil {
			t.Fatalf("socket %d has room before it has frames", i)
		}
		collect(t, s, 1)
		if s.in.batch == nil {
			t.Fatalf("socket %d has no room for the frames in hand", i)
		}
		if room != nil && s.in.batch != room {
			t.Errorf("socket %d has room of its own", i)
		}
		room = s.in.batch
		for n := 1; n > 0; {
			var err error
			n, err = s.Poll()
			labtest.Must(t, err)
		}
		if s.in.batch != nil {
			t.Errorf("socket %d keeps its room without frames", i)
		}
	}
	labtest.Must(t, p.b.Close())
	if p.b.Frame(0) != nil {
		t.Error("a closed socket has a frame")
	}
}

func TestRoomsAreBounded(t *testing.T) {
	f := batches{max: 2}
	a, b, c := f.take(), f.take(), f.take()
	for _, x := range []*batch{a, b, c} {
		f.put(x)
	}
	if len(f.free) != 2 || f.take() != b || f.take() != a || len(f.free) != 0 {
		t.Error("not the last two, the last one first")
	}
}

// Room that small frames use is hardly touched: no collector clears it, or counts all of it.
func TestRoomsAreNotTheCollectors(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := newBatch()
	runtime.ReadMemStats(&after)
	defer b.free()
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<16 {
		t.Errorf("room takes %d octets of the heap", n)
	}
}
