// SPDX-License-Identifier: MIT

package api

import (
	"fmt"
	"strings"
	"time"
)

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
	Watch   string    `json:"watch"`          // the kind of watch: auto, gateway, arp, nd, probe
	Role    string    `json:"role,omitempty"` // gateway or host, of targets that the team found itself
	IP      string    `json:"ip,omitempty"`   // of probe: none
	VLAN    uint16    `json:"vlan,omitempty"`
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

// Target names whom is asked: "gateway 10.9.0.254", "arp 10.9.0.7 (VLAN 5)", "the other members".
func (a *Asked) Target() string {
	if a.IP == "" {
		return "the other members"
	}
	text := a.Role
	if text == "" {
		text = a.Watch
	}
	text += " " + a.IP
	if a.VLAN != 0 {
		text += fmt.Sprintf(" (VLAN %d)", a.VLAN)
	}
	return text
}

// Text describes the wait at a moment: "flapped 5 times in 60 s, back in 25 s".
func (d *Damped) Text(now time.Time) string {
	wait := max(d.Until.Sub(now), 0)
	return fmt.Sprintf("flapped %d times in 60 s, back in %d s", d.Failures, (wait+time.Second-1)/time.Second)
}

// dampedReason begins the reason of a member that waits; it names the moment, not how long is left.
const dampedReason = "flapped"

// Why says in words why the member is not used, or may not be for long; "" if nothing is wrong.
func (m *Member) Why(now time.Time) string {
	switch {
	case m.Damped == nil:
		return m.Reason
	case m.Reason == "" || strings.HasPrefix(m.Reason, dampedReason):
		return m.Damped.Text(now)
	}
	return m.Reason + "; " + m.Damped.Text(now)
}
