// SPDX-License-Identifier: MIT

package api

import (
	"fmt"
	"strings"
	"time"
)

// Event is the document nicteam.event/v1.
type Event struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	Team   string    `json:"team"`
	Event  string    `json:"event"` // team-up, member-down, active-changed, …
	Member string    `json:"member,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Took   int64     `json:"took_ns,omitempty"` // from the loss of a link until its flows have moved
}

// Text describes the event in a line: "eth1 down: carrier lost, flows moved in 0.42 ms".
func (e *Event) Text() string {
	text := e.subject()
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Took > 0 {
		took := "took"
		if e.Event == "member-down" {
			took = "flows moved in"
		}
		text += fmt.Sprintf(", %s %.3g ms", took, float64(e.Took)/1e6)
	}
	return text
}

// Label is a short description, as for a mark in a picture: "eth1: carrier lost", "datapath: fastpath".
func (e *Event) Label() string {
	switch {
	case e.Event == "member-down" && e.Reason != "":
		reason, _, _ := strings.Cut(e.Reason, " (") // of a link watch: how many asks, and by whom it answers
		return e.Member + ": " + strings.TrimSuffix(reason, " by "+e.Member)
	case e.Event == "active-changed":
		return e.Member + " active"
	case strings.HasSuffix(e.Event, "-changed"):
		value, _, _ := strings.Cut(e.Reason, ", was ")
		return strings.TrimSuffix(e.subject(), " changed") + ": " + value
	}
	return e.subject()
}

// subject is the member and the event: "eth1 down", "datapath changed".
func (e *Event) subject() string {
	what := strings.ReplaceAll(e.Event, "-", " ")
	if e.Member == "" {
		return what
	}
	return e.Member + " " + strings.TrimPrefix(what, "member ")
}
