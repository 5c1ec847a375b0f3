// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/monitor/traffic"
)

// trafficRecorder keeps the history of what members carried.
type trafficRecorder struct {
	start  time.Time // for its monotonic reading
	second int64     // of the last reading, since 1970
	totals []traffic.Totals

	mu      sync.Mutex // for history
	history *traffic.History
}

func newRecorder() *trafficRecorder {
	return &trafficRecorder{start: time.Now(), history: traffic.New()}
}

// addTotals adds the totals once a second. One goroutine calls it.
func (r *trafficRecorder) addTotals(now time.Time, v *snapshot, c *Counters) {
	if now.Unix() == r.second {
		return
	}
	r.second = now.Unix()
	r.totals = r.totals[:0]
	for i, id := range v.ids {
		m := &c.Members[id]
		t := traffic.Totals{Name: v.status.Members[i].Name, Account: id}
		for p := range m.RX {
			t.RX[p], t.TX[p] = traffic.Count(m.RX[p]), traffic.Count(m.TX[p])
		}
		r.totals = append(r.totals, t)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Add(now, now.Sub(r.start), r.totals)
}

func (r *trafficRecorder) snapshot() *traffic.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.Snapshot()
}

// RestoreHistory continues the history of the process before: what WriteHistory wrote, nil for none, and its events. It
// is called before Run. On an error the traffic history is empty; the events are kept.
func (t *Team) RestoreHistory(history []byte, events []api.Event) error {
	t.events.add(events)
	if history == nil {
		return nil
	}
	h, err := traffic.Read(history)
	if err != nil {
		return fmt.Errorf("read traffic history: %w", err)
	}
	t.recorder.history = h
	return nil
}

// WriteHistory writes the traffic history for RestoreHistory.
func (t *Team) WriteHistory(w io.Writer) error {
	_, err := t.recorder.snapshot().WriteTo(w)
	if err != nil {
		return fmt.Errorf("write traffic history: %w", err)
	}
	return nil
}

const (
	// MaxColumns bounds the columns of a HistoryDocument: a day by ten seconds and a little.
	MaxColumns = 9000
	// maxCells bounds its values: columns × (team, members, protocols).
	maxCells = 160_000
)

// History says what was carried when. The error is a *Problem.
func (t *Team) History(q api.HistoryQuery) (*api.History, error) {
	s := t.recorder.snapshot()
	v := t.snapshot.Load()
	names := s.Members()
	for _, m := range v.status.Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if q.Member != "" && !slices.Contains(names, q.Member) {
		return nil, &api.Problem{Kind: api.NotFound, What: "history of " + q.Member,
			Why: "no member of that name is known, now or in what is kept",
			Fix: "members are: " + namesOf(names)}
	}
	ask := traffic.Query{From: q.From, To: q.To, Step: q.Step, Member: q.Member}
	n := ask.Columns()
	bad := func(why, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("history in steps of %v", q.Step), Why: why, Fix: fix,
			Err: errors.New(why)}
	}
	switch {
	case q.Step < time.Second || q.Step%time.Millisecond != 0:
		return nil, bad("a step is at least 1s and whole milliseconds", "write step=10s")
	case n <= 0:
		return nil, bad("the period ends before it begins", "give an end that is later, or last=1h")
	case n > MaxColumns:
		return nil, bad(fmt.Sprintf("that is %d columns; at most %d are answered", n, MaxColumns),
			"take a longer step or a shorter period")
	case q.Member == "" && n*(len(names)+1+len(traffic.Window{}.Protocols)) > maxCells:
		return nil, bad(fmt.Sprintf("%d columns of %d members are too much for one answer", n, len(names)),
			"take a longer step, a shorter period or one member")
	}
	w := s.Query(ask)
	return historyDocument(v.status.Team, q, w, t.events.sinceTime(w.From)), nil
}

func historyDocument(name string, q api.HistoryQuery, w *traffic.Window, events []api.Event) *api.History {
	d := &api.History{Schema: api.HistorySchema, Team: name, Member: q.Member, From: w.From.UTC(), Step: int64(w.Step),
		Columns: len(w.Covered),
		Covered: make([]int64, len(w.Covered)), RX: api.SeriesColumns(w.Total.RX), TX: api.SeriesColumns(w.Total.TX),
		Members: []api.NamedColumns{}, Protocols: []api.NamedColumns{}, Events: []api.Event{}}
	d.To = d.From.Add(time.Duration(d.Columns) * w.Step)
	for i, c := range w.Covered {
		d.Covered[i] = c.Nanoseconds()
	}
	for _, m := range w.Members {
		d.Members = append(d.Members, api.NamedColumns{Name: m.Name, RX: api.SeriesColumns(m.RX),
			TX: api.SeriesColumns(m.TX)})
	}
	for p := range w.Protocols {
		d.Protocols = append(d.Protocols, api.NamedColumns{Name: frame.Protocol(p).String(),
			RX: api.SeriesColumns(w.Protocols[p].RX), TX: api.SeriesColumns(w.Protocols[p].TX)})
	}
	for _, e := range events {
		if e.Time.Before(d.To) && (q.Member == "" || e.Member == "" || e.Member == q.Member) {
			d.Events = append(d.Events, e)
		}
	}
	return d
}

func namesOf(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
