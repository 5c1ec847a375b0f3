package api

import "time"

// Panic is what is kept of the panics of one kind.
type Panic struct {
	Where string    `json:"where"` // control loop, carrier watch, data path, …
	Input string    `json:"input"` // what was being handled when the last one happened
	Count uint64    `json:"count"`
	Time  time.Time `json:"time"` // of the last one
	Value string    `json:"value"`
	Stack string    `json:"stack"`
}

func (p *Panic) String() string {
	s := p.Where
	if p.Input != "" {
		s += " (" + p.Input + ")"
	}
	return s + ": " + p.Value
}
