package team

import "time"

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
