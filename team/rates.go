package team

import (
	"nicteam/internal/api"
	"nicteam/internal/frame"
)

// Rates says what moved from one Sample to a later one. The protocols sum exactly to the total;
// the members do unless one has left in between.
func Rates(prev, now *Sample) *api.Rates {
	d := &api.Rates{Schema: "nicteam.rates/v1", Time: now.Time, Team: now.Team, Interval: now.Time.Sub(prev.Time).Nanoseconds(),
		Members: []api.MemberRates{}, Protocols: make([]api.ProtocolRates, frame.Protocols)}
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
		rx, tx, _ := moved[m.ID].summary()
		d.Members = append(d.Members, api.MemberRates{Name: m.Name, Link: m.Link, RX: rx.Count, TX: tx.Count})
	}
	return d
}
