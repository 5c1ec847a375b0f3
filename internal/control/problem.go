package control

import (
	"errors"
	"net/http"

	"nicteam/team"
)

// problemDocument is nicteam.problem/v1.
type problemDocument struct {
	Schema string `json:"schema"`
	*team.Problem
}

// result is nicteam.result/v1, the answer to a change.
type result struct {
	Schema string   `json:"schema"`
	Team   string   `json:"team"`
	Steps  []string `json:"steps"`
}

// problemFrom makes a problem of any error.
func problemFrom(err error, what string) *team.Problem {
	var p *team.Problem
	if errors.As(err, &p) {
		return p
	}
	return &team.Problem{Kind: team.Failed, What: what, Why: err.Error(), Fix: "see what the team says: nicteam events", Err: err}
}

// httpStatus is the status that goes with a problem; the code in the body is what counts.
func httpStatus(k team.ProblemKind) int {
	switch k {
	case team.Usage:
		return http.StatusBadRequest
	case team.NotFound:
		return http.StatusNotFound
	case team.NotPermitted:
		return http.StatusForbidden
	case team.Conflict:
		return http.StatusConflict
	case team.NoAnswer:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
