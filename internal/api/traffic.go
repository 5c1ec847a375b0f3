// SPDX-License-Identifier: MIT

package api

import (
	"strings"
	"time"

	"nicteam/internal/frame"
)

// Rates is the document nicteam.rates/v1: the traffic of an interval.
type Rates struct {
	Schema    string          `json:"schema"`
	Time      time.Time       `json:"time"` // the end of the interval
	Team      string          `json:"team"`
	Interval  int64           `json:"interval_ns"`
	RX        frame.Count     `json:"rx"`
	TX        frame.Count     `json:"tx"`
	Members   []MemberRates   `json:"members"`
	Protocols []ProtocolRates `json:"protocols"` // all of them; their sum is RX and TX
}

// MemberRates are the Rates of a member.
type MemberRates struct {
	Name string      `json:"name"`
	Link bool        `json:"link"`
	RX   frame.Count `json:"rx"`
	TX   frame.Count `json:"tx"`
}

// ProtocolRates are the Rates of a protocol.
type ProtocolRates struct {
	Name string      `json:"name"`
	RX   frame.Count `json:"rx"`
	TX   frame.Count `json:"tx"`
}

// History is the document nicteam.history/v1: traffic in columns of equal length. Lists have one value per column.
type History struct {
	Schema  string    `json:"schema"`
	Team    string    `json:"team"`
	Member  string    `json:"member,omitempty"` // "" for the whole team
	From    time.Time `json:"from"`             // the start of the first column
	To      time.Time `json:"to"`               // the end of the last one
	Step    int64     `json:"step_ns"`
	Columns int       `json:"columns"`
	Covered []int64   `json:"covered_ns"` // how much of the column is known; 0 is a gap

	RX        SeriesColumns  `json:"rx"`
	TX        SeriesColumns  `json:"tx"`
	Members   []NamedColumns `json:"members"`   // with traffic, former members too; empty if Member is set
	Protocols []NamedColumns `json:"protocols"` // all of them
	Events    []Event        `json:"events"`    // of the period
}

// NamedColumns are the columns of a member or of a protocol.
type NamedColumns struct {
	Name string        `json:"name"`
	RX   SeriesColumns `json:"rx"`
	TX   SeriesColumns `json:"tx"`
}

// SeriesColumns are the traffic of each column, and the traffic of its busiest second. All are left out if no column
// has traffic.
type SeriesColumns struct {
	Bytes      []uint64 `json:"bytes,omitempty"`
	Frames     []uint64 `json:"frames,omitempty"`
	BytesPeak  []uint64 `json:"bytes_peak,omitempty"`
	FramesPeak []uint64 `json:"frames_peak,omitempty"`
}

// HistoryQuery asks for the traffic of From..To in columns of Step, of one member or with "" of the team.
type HistoryQuery struct {
	From, To time.Time
	Step     time.Duration
	Member   string
}

// Totals are the traffic and drops of a team since its process started. Metrics derive from them; they are not a JSON
// document.
type Totals struct {
	Members      []MemberTotals // since each joined
	Protocols    []ProtocolTotals
	AdapterDrops []DropTotal // transmitted frames that no member was chosen for
}

// MemberTotals are the Totals of a member.
type MemberTotals struct {
	Name             string
	RX, TX           frame.Count
	RXDrops, TXDrops []DropTotal
}

// ProtocolTotals are the Totals of a protocol, former members included.
type ProtocolTotals struct {
	Name   string
	RX, TX frame.Count
}

// DropTotal counts dropped frames by reason. Common reasons are listed even with 0 frames.
type DropTotal struct {
	Reason string // as in drop_reasons
	Frames uint64
}

// ProtocolTitle is the usual spelling of a protocol's name: "TCP", "IPv6-ND".
func ProtocolTitle(name string) string {
	switch name {
	case "other":
		return name
	case "ipv6-nd":
		return "IPv6-ND"
	}
	return strings.ToUpper(name)
}
