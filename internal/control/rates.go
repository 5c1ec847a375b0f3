package control

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/team"
)

// Rates is the document nicteam.rates/v1: what moved between two samples.
type Rates struct {
	Schema    string          `json:"schema"`
	Time      time.Time       `json:"time"` // of the later sample
	Team      string          `json:"team"`
	Interval  int64           `json:"interval_ns"` // as it was, not as it was asked for
	RX        team.Count      `json:"rx"`
	TX        team.Count      `json:"tx"`
	Members   []MemberRates   `json:"members"`
	Protocols []ProtocolRates `json:"protocols"`
}

// MemberRates is a member's part of Rates.
type MemberRates struct {
	Name string     `json:"name"`
	Link bool       `json:"link"`
	RX   team.Count `json:"rx"`
	TX   team.Count `json:"tx"`
}

// ProtocolRates is a protocol's part of Rates, over all members.
type ProtocolRates struct {
	Name string     `json:"name"`
	RX   team.Count `json:"rx"`
	TX   team.Count `json:"tx"`
}

// between says what moved from was to now. A member that joined since counts from zero, as does
// one that left and came back; one that left is not in it.
func between(name string, was, now *Sample) *Rates {
	r := &Rates{Schema: "nicteam.rates/v1", Time: now.Time, Team: name, Interval: int64(now.Time.Sub(was.Time)),
		Members: []MemberRates{}, Protocols: make([]ProtocolRates, frame.Protocols)}
	for p := range r.Protocols {
		r.Protocols[p].Name = frame.Protocol(p).String()
	}
	old := make(map[string]*MemberSample, len(was.Members))
	for i := range was.Members {
		old[was.Members[i].Name] = &was.Members[i]
	}
	for i := range now.Members {
		m := &now.Members[i]
		before := &MemberSample{}
		if o := old[m.Name]; o != nil && !restarted(o, m) {
			before = o
		}
		mr := MemberRates{Name: m.Name, Link: m.Link}
		for p := range r.Protocols {
			rx := minus(m.Counters.RX[p], before.Counters.RX[p])
			tx := minus(m.Counters.TX[p], before.Counters.TX[p])
			mr.RX.Add(rx)
			mr.TX.Add(tx)
			r.Protocols[p].RX.Add(rx)
			r.Protocols[p].TX.Add(tx)
		}
		r.RX.Add(mr.RX)
		r.TX.Add(mr.TX)
		r.Members = append(r.Members, mr)
	}
	return r
}

// restarted reports whether any counter went backwards: they only grow while a member stays.
func restarted(was, now *MemberSample) bool {
	less := func(a, b team.Count) bool { return a.Bytes < b.Bytes || a.Frames < b.Frames }
	for p := range now.Counters.RX {
		if less(now.Counters.RX[p], was.Counters.RX[p]) || less(now.Counters.TX[p], was.Counters.TX[p]) {
			return true
		}
	}
	return false
}

func minus(a, b team.Count) team.Count {
	return team.Count{Bytes: a.Bytes - b.Bytes, Frames: a.Frames - b.Frames}
}
