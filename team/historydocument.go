package team

import (
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/monitor/traffic"
)

func historyDocument(name string, q api.HistoryQuery, w *traffic.Window, events []api.Event) *api.History {
	d := &api.History{Schema: "nicteam.history/v1", Team: name, Member: q.Member, From: w.From.UTC(), Step: int64(w.Step), Columns: len(w.Covered),
		Covered: make([]int64, len(w.Covered)), RX: api.SeriesColumns(w.Total.RX), TX: api.SeriesColumns(w.Total.TX),
		Members: []api.NamedColumns{}, Protocols: []api.NamedColumns{}, Events: []api.Event{}}
	d.To = d.From.Add(time.Duration(d.Columns) * w.Step)
	for i, c := range w.Covered {
		d.Covered[i] = c.Nanoseconds()
	}
	for _, m := range w.Members {
		d.Members = append(d.Members, api.NamedColumns{Name: m.Name, RX: api.SeriesColumns(m.RX), TX: api.SeriesColumns(m.TX)})
	}
	for p := range w.Protocols {
		d.Protocols = append(d.Protocols, api.NamedColumns{Name: frame.Protocol(p).String(), RX: api.SeriesColumns(w.Protocols[p].RX), TX: api.SeriesColumns(w.Protocols[p].TX)})
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
