// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// peersTime bounds the wait for the control loop.
const peersTime = 2 * time.Second

func (s *Server) peers(_ http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), peersTime)
	defer cancel()
	p, err := s.b.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return p, nil
}
