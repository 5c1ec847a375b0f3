// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
)

// start is when every test begins.
var start = time.Unix(1_000_000, 0)

// end is one end of a wire's links: a System of ours, or a script that plays a partner.
type end interface {
	Receive(now time.Time, port int, frame []byte) Out
	Tick(now time.Time) Out
	Deadline() time.Time
}

// wire connects port i of one end to port i of the other, for all i, in virtual time. PDUs cross it in order, a
// delay after they were sent.
type wire struct {
	t     *testing.T
	now   time.Time
	ends  [2]end
	delay time.Duration
	drop  func(from, port int, b []byte) bool // nil: nothing is lost

	flying []flight
	sent   []flight // all that was ever sent
	notes  [2][]Note
	flush  [2][]int
	after  func() // each time something happened
}

type flight struct {
	at   time.Time
	from int // index of the end
	port int
	b    []byte
}

func newWire(t *testing.T, a, b end) *wire {
	return &wire{t: t, now: start, ends: [2]end{a, b}, delay: 100 * time.Microsecond}
}

// take does what an end wants done.
func (w *wire) take(from int, out Out) {
	w.notes[from] = append(w.notes[from], out.Notes...)
	w.flush[from] = append(w.flush[from], out.Flushed...)
	for _, s := range out.Send {
		f := flight{at: w.now, from: from, port: s.Port, b: s.Frame}
		w.sent = append(w.sent, f)
		if w.drop != nil && w.drop(from, s.Port, s.Frame) {
			continue
		}
		f.at = w.now.Add(w.delay)
		w.flying = append(w.flying, f)
	}
	if w.after != nil {
		w.after()
	}
}

// step does the next thing that is due until a time, and reports whether there was one.
func (w *wire) step(until time.Time) bool {
	at, who, fly := until, -1, -1
	for i := range w.flying {
		if !w.flying[i].at.After(at) && (fly < 0 || w.flying[i].at.Before(at)) {
			at, fly = w.flying[i].at, i
		}
	}
	for i, e := range w.ends {
		if e == nil {
			continue
		}
		if d := e.Deadline(); !d.IsZero() && (d.Before(at) || d.Equal(at) && fly < 0) {
			if d.Before(w.now) {
				d = w.now
			}
			at, who, fly = d, i, -1
		}
	}
	switch {
	case who >= 0:
		w.now = at
		w.take(who, w.ends[who].Tick(at))
	case fly >= 0:
		w.now = at
		f := w.flying[fly]
		w.flying = slices.Delete(w.flying, fly, fly+1)
		if to := w.ends[1-f.from]; to != nil {
			w.take(1-f.from, to.Receive(at, f.port, f.b))
		}
	default:
		w.now = until
		return false
	}
	return true
}

// run lets time pass.
func (w *wire) run(d time.Duration) {
	w.t.Helper()
	w.until(d, func() bool { return false })
}

// until lets time pass until something is so, for at most d, and says how long it took; over d it was never so.
func (w *wire) until(d time.Duration, is func() bool) time.Duration {
	w.t.Helper()
	begin := w.now
	last := begin.Add(d)
	for steps := 0; ; steps++ {
		if is() {
			return w.now.Sub(begin)
		}
		if !w.step(last) {
			if is() {
				return d
			}
			return d + 1
		}
		if steps > 1_000_000 {
			w.t.Fatalf("time stands still at %v", w.now.Sub(start))
		}
	}
}

// count says how many LACPDUs an end sent by a port since a time.
func (w *wire) count(from, port int, since time.Time) int {
	n := 0
	for _, f := range w.sent {
		if f.from == from && f.port == port && !f.at.Before(since) && subtype(f.b) == subtypeLACP {
			n++
		}
	}
	return n
}

// last is the last LACPDU that an end sent by a port.
func (w *wire) last(from, port int) PDU {
	w.t.Helper()
	for _, f := range slices.Backward(w.sent) {
		if f.from == from && f.port == port && subtype(f.b) == subtypeLACP {
			d, err := ParsePDU(f.b)
			if err != nil {
				w.t.Fatal(err)
			}
			return d
		}
	}
	w.t.Fatalf("end %d sent nothing by port %d", from, port)
	return PDU{}
}

// checkPace fails if more than three LACPDUs left by one port in any second.
func (w *wire) checkPace() {
	w.t.Helper()
	times := map[[2]int][]time.Time{}
	for _, f := range w.sent {
		if subtype(f.b) != subtypeLACP {
			continue
		}
		k := [2]int{f.from, f.port}
		times[k] = append(times[k], f.at)
		if ts := times[k]; len(ts) > 3 && f.at.Sub(ts[len(ts)-4]) < time.Second {
			w.t.Errorf("end %d sent four LACPDUs by port %d within %v", f.from, f.port, f.at.Sub(ts[len(ts)-4]))
		}
	}
}

// side is a System together with what it was configured with last.
type side struct {
	*System
	index  int
	w      *wire
	config Config
	ports  []PortConfig
}

// mac is the address of port i of an end.
func mac(end, i int) frame.MAC { return frame.MAC(0x020000000000 | end<<8 | i) }

// newSide returns end 0 or 1 with n ports that have a carrier, 1 Gbit/s each, not yet configured.
func newSide(end, n int) *side {
	c := Config{System: SystemID{Priority: 65535, MAC: frame.MAC(0x02aa00000000 | end)}, Fast: true}
	s := &side{System: New(c, nil), index: end, config: c}
	for i := range n {
		s.ports = append(s.ports, PortConfig{ID: i, Name: fmt.Sprintf("eth%d", i), MAC: mac(end, i),
			Number: uint16(i + 1), Priority: 255, Up: true, SpeedBps: 1e9})
	}
	return s
}

// apply configures the System as it stands in the side.
func (s *side) apply() { s.w.take(s.index, s.Configure(s.w.now, s.config, s.ports)) }

// restart puts a new process in the place of the one that is, with what it remembers.
func (s *side) restart(m *Memory) {
	s.System = New(s.config, m)
	s.apply()
}

// linked connects two sides of n ports and configures both.
func linked(t *testing.T, n int, change ...func(a, b *side)) (*wire, *side, *side) {
	t.Helper()
	a, b := newSide(0, n), newSide(1, n)
	w := newWire(t, a, b)
	a.w, b.w = w, w
	for _, f := range change {
		f(a, b)
	}
	a.apply()
	b.apply()
	return w, a, b
}

// distributing are the ports by which a system sends, of the active Aggregator.
func distributing(s *System) []int {
	var ids []int
	st := s.Status()
	for i := range st.Ports {
		if p := &st.Ports[i]; p.Distributing() && p.Aggregator == st.Active {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// uses reports whether a system sends by exactly these ports.
func uses(s *System, ids ...int) bool { return slices.Equal(distributing(s), ids) }

// carrier changes a link's carrier at both ends.
func (w *wire) carrier(port int, up bool) {
	for _, e := range w.ends {
		if s, ok := e.(*side); ok {
			s.ports[port].Up = up
		}
	}
	for _, e := range w.ends {
		if s, ok := e.(*side); ok {
			s.apply()
		}
	}
}

// agree waits until both sides use exactly these ports, and fails after d.
func agree(t *testing.T, w *wire, a, b *side, d time.Duration, ids ...int) time.Duration {
	t.Helper()
	took := w.until(d, func() bool { return uses(a.System, ids...) && uses(b.System, ids...) })
	if took > d {
		t.Fatalf("ports %v are not used after %v: %v and %v\n%+v\n%+v", ids, d, distributing(a.System),
			distributing(b.System), a.Status(), b.Status())
	}
	return took
}

// port is the status of a port.
func status(t *testing.T, s *System, id int) PortStatus {
	t.Helper()
	for _, p := range s.Status().Ports {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("no port %d", id)
	return PortStatus{}
}
