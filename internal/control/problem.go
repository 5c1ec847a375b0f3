// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"net/http"

	"nicteam/internal/api"
)

// problemFrom makes a problem of any error.
func problemFrom(err error, what string) *api.Problem {
	var p *api.Problem
	if errors.As(err, &p) {
		return p
	}
	return &api.Problem{Kind: api.Failed, What: what, Why: err.Error(), Fix: "see what the team says: nicteam events",
		Err: err}
}

// httpStatus is the status that goes with a problem; the code in the body is what counts.
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
