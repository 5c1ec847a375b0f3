// SPDX-License-Identifier: MIT

package lacp

import (
	"slices"
	"testing"
	"time"
)

func TestMarkerIsAnsweredAndTold(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.take(0, a.Flush(w.now, 1))
	w.run(3 * w.delay)
	if !slices.Equal(w.flush[0], []int{1}) || !status(t, a.System, 1).Answers || status(t, a.System, 0).Answers {
		t.Errorf("flushed %v, %+v", w.flush[0], status(t, a.System, 1))
	}
	if x, y := status(t, a.System, 1).Counters, status(t, b.System, 1).Counters; x.MarkersOut != 1 ||
		x.MarkersIn != 1 || y.MarkersIn != 1 || y.MarkersOut != 1 {
		t.Errorf("counters %+v %+v", x, y)
	}
}

// Two that move flows at the same time ask each other as often as they may, and hear every answer.
func TestBothAskAtOnce(t *testing.T) {
	w, a, b := linked(t, 1)
	agree(t, w, a, b, 4*time.Second, 0)
	asked := 0
	for range 10 {
		w.take(0, a.Flush(w.now, 0))
		w.take(1, b.Flush(w.now, 0))
		asked++
		w.run(10 * w.delay)
		if len(w.flush[0]) < asked {
			asked--
			break
		}
	}
	if x, y := status(t, a.System, 0).Counters, status(t, b.System, 0).Counters; asked < 5 ||
		len(w.flush[0]) != asked || len(w.flush[1]) != asked || x.Bad+y.Bad != 0 {
		t.Errorf("of %d flushes %d and %d were told of, %d and %d frames were refused", asked, len(w.flush[0]),
			len(w.flush[1]), x.Bad, y.Bad)
	}
}

func TestOnlyTheAnswerToTheLastMarkerCounts(t *testing.T) {
	s, _ := joined(t, 1)
	ask := func() Marker {
		t.Helper()
		s.tick(time.Second)
		newPartner(0).says(s.System, s.w.now, 0, healthy)
		out := s.Flush(s.w.now, 0)
		if len(out.Send) != 1 {
			t.Fatalf("%d frames", len(out.Send))
		}
		m, err := ParseMarker(out.Send[0].Frame)
		if err != nil {
			t.Fatal(err)
		}
		m.Response = true
		return m
	}
	flushed := func(m Marker) bool { return len(s.Receive(s.w.now, 0, m.Frame(1)).Flushed) > 0 }
	first, second := ask(), ask()
	if first.Transaction == second.Transaction {
		t.Fatal("two markers are the same")
	}
	if flushed(first) {
		t.Error("the answer to an older marker counts")
	}
	for name, change := range map[string]func(*Marker){
		"port":   func(m *Marker) { m.Port++ },
		"system": func(m *Marker) { m.System++ },
	} {
		m := second
		change(&m)
		if flushed(m) {
			t.Errorf("an answer to another %s counts", name)
		}
	}
	if !flushed(second) {
		t.Error("the answer does not count")
	}
	if flushed(second) {
		t.Error("the answer counts twice")
	}
	// The link was down in between: what was sent before did not arrive by that.
	third := ask()
	s.ports[0].Up = false
	s.apply()
	s.ports[0].Up = true
	s.apply()
	if flushed(third) {
		t.Error("an answer to a marker of before the link was lost counts")
	}
}

func TestMarkersAreBounded(t *testing.T) {
	s, p := joined(t, 1)
	asked, answered := 0, 0
	m := Marker{Port: p[0].Port, System: p[0].System.MAC, Transaction: 1}
	for i := range 10_000 {
		at := s.w.now.Add(time.Duration(i) * time.Second / 10_000)
		asked += len(s.Flush(at, 0).Send)
		answered += len(s.Receive(at, 0, m.Frame(1)).Send)
	}
	if asked == 0 || asked > 10 || answered == 0 || answered > 10 {
		t.Errorf("%d asked, %d answered in a second", asked, answered)
	}
}

func TestNoMarkerWithoutPartner(t *testing.T) {
	s := alone(1)
	if out := s.Flush(s.w.now, 0); len(out.Send) > 0 {
		t.Error("a port without partner asks")
	}
	if out := s.Flush(s.w.now, 9); len(out.Send) > 0 {
		t.Error("a port that is not there asks")
	}
}
