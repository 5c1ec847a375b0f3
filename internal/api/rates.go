package api

import (
	"nicteam/internal/frame"
	"time"
)

// Rates is the document nicteam.rates/v1: what moved between two Samples.
type Rates struct {
	Schema    string          `json:"schema"`
	Time      time.Time       `json:"time"`
	Team      string          `json:"team"`
	Interval  int64           `json:"interval_ns"`
	RX        frame.Count     `json:"rx"`
	TX        frame.Count     `json:"tx"`
	Members   []MemberRates   `json:"members"`
	Protocols []ProtocolRates `json:"protocols"`
}

// MemberRates is a member's part of Rates.
type MemberRates struct {
	Name string      `json:"name"`
	Link bool        `json:"link"`
	RX   frame.Count `json:"rx"`
	TX   frame.Count `json:"tx"`
}

// ProtocolRates is a protocol's part of Rates.
type ProtocolRates struct {
	Name string      `json:"name"`
	RX   frame.Count `json:"rx"`
	TX   frame.Count `json:"tx"`
}
