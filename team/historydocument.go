package team

import (
	"strings"
	"time"

	"nicteam/internal/frame"
	"nicteam/monitor/traffic"
)

func historyDocument(name string, q HistoryQuery, w *traffic.Window, events []Event) *HistoryDocument {
	d := &HistoryDocument{Schema: "nicteam.history/v1", Team: name, Member: q.Member, From: w.From.UTC(), Step: int64(w.Step), Columns: len(w.Covered),
		Covered: make([]int64, len(w.Covered)), RX: SeriesColumns(w.Total.RX), TX: SeriesColumns(w.Total.TX),
		Members: []NamedColumns{}, Protocols: []NamedColumns{}, Events: []Event{}}
	d.To = d.From.Add(time.Duration(d.Columns) * w.Step)
	for i, c := range w.Covered {
		d.Covered[i] = c.Nanoseconds()
	}
	for _, m := range w.Members {
		d.Members = append(d.Members, NamedColumns{m.Name, SeriesColumns(m.RX), SeriesColumns(m.TX)})
	}
	for p := range w.Protocols {
		d.Protocols = append(d.Protocols, NamedColumns{frame.Protocol(p).String(), SeriesColumns(w.Protocols[p].RX), SeriesColumns(w.Protocols[p].TX)})
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
