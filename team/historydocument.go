package team

import (
	"strings"
	"time"

	"nicteam/internal/frame"
	"nicteam/monitor/traffic"
)

// HistoryDocument is the document nicteam.history/v1: traffic in columns of equal length. All lists have a value a column.
type HistoryDocument struct {
	Schema  string    `json:"schema"`
	Team    string    `json:"team"`
	Member  string    `json:"member,omitempty"` // "" for the whole team
	From    time.Time `json:"from"`             // when the first column begins
	To      time.Time `json:"to"`               // when the last one ends
	Step    int64     `json:"step_ns"`
	Columns int       `json:"columns"`
	Covered []int64   `json:"covered_ns"` // how much of the column is known; 0 is a gap

	RX        SeriesColumns  `json:"rx"`
	TX        SeriesColumns  `json:"tx"`
	Members   []NamedColumns `json:"members"`   // that carried something; empty of one member
	Protocols []NamedColumns `json:"protocols"` // all of them
	Events    []Event        `json:"events"`    // of the period
}

// NamedColumns is the part of a member or of a protocol.
type NamedColumns struct {
	Name string        `json:"name"`
	RX   SeriesColumns `json:"rx"`
	TX   SeriesColumns `json:"tx"`
}

// SeriesColumns are what moved in each column, and what moved per second in the busiest second of it. All are left out
// where nothing moved in any column.
type SeriesColumns struct {
	Bytes      []uint64 `json:"bytes,omitempty"`
	Frames     []uint64 `json:"frames,omitempty"`
	BytesPeak  []uint64 `json:"bytes_peak,omitempty"`
	FramesPeak []uint64 `json:"frames_peak,omitempty"`
}

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
