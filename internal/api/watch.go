// SPDX-License-Identifier: MIT

package api

import "time"

// LinkWatch is what the link watches say about a member, carrier aside.
type LinkWatch struct {
	Verdict string    `json:"verdict"` // unknown, waiting, up, suspect, down
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	RTT     int64     `json:"rtt_ns,omitempty"` // smoothed; 0 unknown
	Loss    float64   `json:"loss"`             // share of the last 32 asks without an answer, 0 to 1
	Asked   []Asked   `json:"asked"`
}

// Asked is how a target answers by a member.
type Asked struct {
	Watch   string    `json:"watch"`        // the kind of watch: gateway, arp, nd, probe, …
	IP      string    `json:"ip,omitempty"` // of probe: none
	Answers bool      `json:"answers"`
	RTT     int64     `json:"rtt_ns,omitempty"`
	Loss    float64   `json:"loss"`
	Last    time.Time `json:"last,omitzero"` // of the last answer
}

// Damped says how long a member waits because it failed too often.
type Damped struct {
	Failures int       `json:"failures"` // in the last 60 s
	Until    time.Time `json:"until"`
}
