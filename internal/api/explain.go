package api

import "time"

// Explanation is the document nicteam.explain/v1.
type Explanation struct {
	Schema string `json:"schema"`
	Team   string `json:"team"`
	Flow   string `json:"flow"`
	Mode   string `json:"mode"`
	Hash   string `json:"hash,omitempty"` // policy
	Slot   int    `json:"slot"`           // -1 where the flow's hash does not matter
	Member string `json:"member"`         // "" when nobody carries it
	Why    string `json:"why"`
	// Since is when Member became the flow's; left out where nobody keeps it.
	Since time.Time `json:"since,omitzero"`
	// Next is the member that would carry the flow if Member died, "" for none, and NextWhy why.
	Next    string `json:"next,omitempty"`
	NextWhy string `json:"next_why,omitempty"`
}
