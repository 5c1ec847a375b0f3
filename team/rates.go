package team

import (
	"time"

	"nicteam/internal/frame"
)

// RatesDocument is the document nicteam.rates/v1: what moved between two Samples.
type RatesDocument struct {
	Schema    string          `json:"schema"`
	Time      time.Time       `json:"time"`
	Team      string          `json:"team"`
	Interval  int64           `json:"interval_ns"`
	RX        Count           `json:"rx"`
	TX        Count           `json:"tx"`
	Members   []MemberRates   `json:"members"`
	Protocols []ProtocolRates `json:"protocols"`
}

// MemberRates is a member's part of a RatesDocument.
type MemberRates struct {
	Name string `json:"name"`
	Link bool   `json:"link"`
	RX   Count  `json:"rx"`
	TX   Count  `json:"tx"`
}

// ProtocolRates is a protocol's part of a RatesDocument.
type ProtocolRates struct {
	Name string `json:"name"`
	RX   Count  `json:"rx"`
	TX   Count  `json:"tx"`
}

// Rates says what moved from one Sample to a later one. The protocols sum exactly to the total;
// the members do unless one has left in between.
func Rates(prev, now *Sample) *RatesDocument {
	d := &RatesDocument{Schema: "nicteam.rates/v1", Time: now.Time, Team: now.Team, Interval: now.Time.Sub(prev.Time).Nanoseconds(),
		Members: []MemberRates{}, Protocols: make([]ProtocolRates, frame.Protocols)}
	var moved [len(now.Counters.Members)]MemberCounters
	for id := range moved {
		moved[id] = now.Counters.Members[id].since(&prev.Counters.Members[id])
	}
	for p := range frame.Protocols {
		r := &d.Protocols[p]
		r.Name = frame.Protocol(p).String()
		for id := range moved {
			r.RX.Add(moved[id].RX[p])
			r.TX.Add(moved[id].TX[p])
		}
		d.RX.Add(r.RX)
		d.TX.Add(r.TX)
	}
	for _, m := range now.Members {
		rx, tx, _ := moved[m.ID].shown()
		d.Members = append(d.Members, MemberRates{Name: m.Name, Link: m.Link, RX: rx.Count, TX: tx.Count})
	}
	return d
}
