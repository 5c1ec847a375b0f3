package api

import "time"

// Event is the document nicteam.event/v1.
type Event struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	Team   string    `json:"team"`
	Event  string    `json:"event"` // team-up, member-down, active-changed, …
	Member string    `json:"member,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Took   int64     `json:"took_ns,omitempty"` // from the loss of a link until frames took another way
}
