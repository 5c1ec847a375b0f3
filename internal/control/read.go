// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/tick"
)

// The bounds of the interval of rates.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
)

func (s *Server) status(http.ResponseWriter, *http.Request, url.Values) (any, error) {
	if st := s.b.Status(); st != nil {
		return st, nil
	}
	return nil, &api.Problem{Kind: api.NoAnswer, What: "status", Why: "the team is starting",
		Fix: "retry in a moment"}
}

func (s *Server) explain(_ http.ResponseWriter, _ *http.Request, q url.Values) (any, error) {
	flow := q.Get("flow")
	if flow == "" || len(flow) > 256 {
		return nil, &api.Problem{Kind: api.Usage, What: "explain a flow", Why: "flow missing or too long",
			Fix: "write it as: tcp 10.0.0.1:5000 10.0.0.2:80"}
	}
	e, err := s.b.Explain(flow)
	if err != nil {
		return nil, err
	}
	if e.Schema == "" {
		e.Schema = api.ExplainSchema
	}
	return e, nil
}

func (s *Server) rates(w http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	interval := time.Second
	if text := q.Get("interval"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < minInterval || d > maxInterval {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("interval %q", text), Why: fmt.Sprintf(
				"want a duration from %v to %v", minInterval, maxInterval), Fix: "use 1s or 500ms"}
		}
		interval = d
	}
	leave := s.takeStream(w, r)
	if leave == nil {
		return nil, nil
	}
	defer leave()
	out := s.stream(w)
	moved := s.b.Meter()
	for range tick.Every(r.Context(), interval) {
		if out(moved()) != nil {
			break
		}
	}
	return nil, nil
}

func (s *Server) name() string {
	if st := s.b.Status(); st != nil {
		return st.Team
	}
	return ""
}

func (s *Server) events(w http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	follow, err := flag(q, "follow")
	if err != nil {
		return nil, err
	}
	if follow {
		leave := s.takeStream(w, r)
		if leave == nil {
			return nil, nil
		}
		defer leave()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events := s.b.Events(ctx, follow)
	out := s.stream(w)
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case ev, ok := <-events:
			if !ok || out(ev) != nil {
				return nil, nil
			}
		}
	}
}

// takeStream takes a slot for a stream and returns the function that frees it. If none is free, it answers so and
// returns nil. Streams, which forgotten terminals keep open, never take all slots.
func (s *Server) takeStream(w http.ResponseWriter, r *http.Request) (leave func()) {
	c := connOf(r.Context())
	if !c.streams.take(c.peer.uid) {
		s.busy(w, c, r.Method+" "+r.URL.Path, c.streams.full(c.peer.uid, "streams"))
		return nil
	}
	return func() { c.streams.leave(c.peer.uid) }
}

// stream begins an answer of one document a line and returns the function that writes a document. It fails if the
// client does not read in time.
func (s *Server) stream(w http.ResponseWriter) func(any) error {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	s.deadline(w)
	w.WriteHeader(http.StatusOK)
	_ = rc.Flush()
	return func(doc any) error {
		s.deadline(w)
		if _, err := w.Write(encode(doc)); err != nil {
			return err
		}
		return rc.Flush()
	}
}
