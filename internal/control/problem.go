// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"net/http"

	"nicteam/internal/api"
)

// problemFrom turns any error into a problem.
func problemFrom(err error, what string) *api.Problem {
	var p *api.Problem
	if errors.As(err, &p) {
		return p
	}
	return &api.Problem{Kind: api.Failed, What: what, Why: err.Error(), Fix: "check the team's events: nicteam events",
		Err: err}
}

// httpStatus returns the HTTP status of a problem; clients use the code in the body.
func httpStatus(k api.ExitCode) int {
	switch k {
	case api.Usage:
		return http.StatusBadRequest
	case api.NotFound:
		return http.StatusNotFound
	case api.NotPermitted:
		return http.StatusForbidden
	case api.Conflict:
		return http.StatusConflict
	case api.NoAnswer:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
