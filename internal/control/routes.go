// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nicteam/internal/api"
)

// handler serves a route. It returns the document of the answer, nil if it has written the answer itself.
type handler func(w http.ResponseWriter, r *http.Request, q url.Values) (any, error)

// route is a line of the API.
type route struct {
	method, path string
	write        bool     // needs the right to change things
	query        []string // known parameters
	do           handler
}

func (s *Server) table() []route {
	return []route{
		{"GET", "/v1/status", false, nil, s.status},
		{"GET", "/v1/rates", false, []string{"interval"}, s.rates},
		{"GET", "/v1/history", false, []string{"last", "from", "to", "step", "member"}, s.history},
		{"GET", "/v1/events", false, []string{"follow"}, s.events},
		{"GET", "/v1/explain", false, []string{"flow"}, s.explain},
		{"GET", "/v1/peers", false, nil, s.peers},
		{"POST", "/v1/members", true, changeParameters, s.add},
		{"DELETE", "/v1/members/{nic}", true, append([]string{"also"}, changeParameters...), s.remove},
		{"PATCH", "/v1/settings", true, changeParameters, s.set},
		{"PUT", "/v1/config", true, changeParameters, s.apply},
		{"DELETE", "/v1/team", true, changeParameters, s.delete},
		{"POST", "/v1/confirm", true, nil, s.confirm},
		{"POST", "/v1/revert", true, nil, s.revert},
		{"POST", "/v1/stop", true, nil, s.stop},
		{"GET", "/metrics", false, nil, s.metrics},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, rt := range s.table() {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for path, known := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(known, ", "))
			s.answer(w, http.StatusMethodNotAllowed, &api.Problem{Kind: api.Usage,
				What: r.Method + " " + r.URL.Path, Why: "method not allowed",
				Fix: "use " + strings.Join(known, " or ")})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, http.StatusNotFound, &api.Problem{Kind: api.Usage,
			What: r.Method + " " + r.URL.Path, Why: "no such resource",
			Fix: "docs/json.md lists the resources"})
	})
	return mux
}

// serve checks permission, parameters and body, bounds the time, and calls the route's handler.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt route) {
	what := rt.method + " " + r.URL.Path
	c := connOf(r.Context())
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		s.o.Panics.UntrustedInput("control API", what, v)
		if w.Header().Get("Content-Type") != "" {
			panic(http.ErrAbortHandler) // a truncated answer must not look complete
		}
		s.refuse(w, &api.Problem{Kind: api.Failed, What: what, Why: fmt.Sprintf("a bug in nicteam: %v", v),
			Fix: "report it with the panics of nicteam status -v"})
	}()
	if c == nil || rt.write && !c.writer {
		s.refuse(w, notWriter(what))
		return
	}
	if c.inReserved {
		w.Header().Set("Connection", "close")
		if !rt.write {
			s.busy(w, c, what, c.all.full(c.peer.uid, "connections"))
			return
		}
	}
	q, err := query(what, r.URL.RawQuery, rt.query)
	if err != nil {
		s.refuse(w, problemFrom(err, what))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if rt.write {
		// Read here, so that the bound holds for routes without a body too.
		b, err := io.ReadAll(r.Body)
		if err != nil {
			s.refuse(w, bodyProblem(err, what))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))

		ctx, cancel := context.WithTimeout(r.Context(), s.o.workTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	doc, err := rt.do(w, r, q)
	switch {
	case err != nil:
		s.refuse(w, problemFrom(err, what))
	case doc != nil:
		s.answer(w, http.StatusOK, doc)
	}
}

// busy refuses a request because all slots are taken, and ends its connection.
func (s *Server) busy(w http.ResponseWriter, c *conn, what, why string) {
	w.Header().Set("Connection", "close")
	c.leave()
	s.answer(w, http.StatusServiceUnavailable, &api.Problem{Kind: api.NoAnswer, What: what,
		Why: why + ", which is the limit; changes are still possible",
		Fix: "end some of the watchers: pgrep -af 'nicteam (watch|events)'"})
}

// logChange logs a requested change and its peer.
func (s *Server) logChange(r *http.Request, what string) {
	c := connOf(r.Context())
	s.o.Log.Info("change asked for", "what", what, "uid", c.peer.uid, "pid", c.peer.pid, "program", c.peer.program())
}

// query parses the parameters of what; an unknown one is an error.
func query(what, raw string, known []string) (url.Values, error) {
	bad := func(why string) error {
		return &api.Problem{Kind: api.Usage, What: what, Why: why, Fix: "parameters are: " + orNone(known)}
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, bad("the parameters are malformed")
	}
	for name, values := range q {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return nil, bad("there is no parameter " + strconv.Quote(name))
		}
		if len(values) > 1 && name != "also" {
			return nil, bad(name + " is given twice")
		}
	}
	return q, nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// flag parses a boolean parameter.
func flag(q url.Values, name string) (bool, error) {
	switch q.Get(name) {
	case "":
		return false, nil
	case "1", "true", "on":
		return true, nil
	case "0", "false", "off":
		return false, nil
	}
	return false, &api.Problem{Kind: api.Usage, What: name + "=" + q.Get(name), Why: "want 1 or 0",
		Fix: "use " + name + "=1"}
}
