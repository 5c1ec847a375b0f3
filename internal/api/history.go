package api

import "time"

// History is the document nicteam.history/v1: traffic in columns of equal length. All lists have a value a column.
type History struct {
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

// HistoryQuery asks for the traffic of From..To in columns of Step; of one member, or of all with "".
type HistoryQuery struct {
	From, To time.Time
	Step     time.Duration
	Member   string
}
