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

// handler does the work of a route. It returns the document to answer with, or nil when it has
// answered itself.
type handler func(w http.ResponseWriter, r *http.Request, q url.Values) (any, error)

// route is a line of the API.
type route struct {
	method, path string
	write        bool     // only for those who may change things
	query        []string // the parameters it knows
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
		{"POST", "/v1/members", true, []string{"accept"}, s.add},
		{"DELETE", "/v1/members/{nic}", true, []string{"force", "also"}, s.remove},
		{"PATCH", "/v1/settings", true, nil, s.set},
		{"DELETE", "/v1/team", true, []string{"force"}, s.delete},
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
				What: r.Method + " " + r.URL.Path, Why: "there is no such method here",
				Fix: "use " + strings.Join(known, " or ")})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, http.StatusNotFound, &api.Problem{Kind: api.Usage,
			What: r.Method + " " + r.URL.Path, Why: "there is no such resource",
			Fix: "see docs/json.md for what there is"})
	})
	return mux
}

// serve is what all routes have in common: who may, what is asked, how long it may take.
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
			panic(http.ErrAbortHandler) // half an answer is not to look like a whole one
		}
		s.refuse(w, &api.Problem{Kind: api.Failed, What: what, Why: fmt.Sprintf("a fault of nicteam: %v", v),
			Fix: "nicteam status --json has what is to be reported, in panics"})
	}()
	if c == nil || rt.write && !c.writer {
		s.refuse(w, &api.Problem{Kind: api.NotPermitted, What: what,
			Why: "only root and the user that the team runs as may change it", Fix: "run it as root: sudo nicteam …"})
		return
	}
	if c.reserved {
		w.Header().Set("Connection", "close")
		if !rt.write {
			s.busy(w, what, fmt.Sprintf("%d connections are open", c.all.bound))
			return
		}
	}
	q, err := query(r, rt.query)
	if err != nil {
		s.refuse(w, problemFrom(err, what))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if rt.write {
		// Read here, so that a body is bounded also for what needs none.
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

// busy refuses for want of room.
func (s *Server) busy(w http.ResponseWriter, what, why string) {
	s.answer(w, http.StatusServiceUnavailable, &api.Problem{Kind: api.NoAnswer, What: what,
		Why: why + ", and a team's process has no more at a time; a change is still taken",
		Fix: "end some that watch: pgrep -af 'nicteam (watch|events)'"})
}

// logChange logs a change with who wants it.
func (s *Server) logChange(r *http.Request, what string) {
	c := connOf(r.Context())
	s.o.Log.Info("change asked for", "what", what, "uid", c.peer.uid, "pid", c.peer.pid, "program", c.peer.program())
}

// query reads the parameters; one that is not known is an error rather than without effect.
func query(r *http.Request, known []string) (url.Values, error) {
	bad := func(why string) error {
		return &api.Problem{Kind: api.Usage, What: r.Method + " " + r.URL.Path, Why: why,
			Fix: "parameters are: " + orNone(known)}
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("the parameters cannot be read")
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

// flag reads a parameter that is on or off.
func flag(q url.Values, name string) (bool, error) {
	switch q.Get(name) {
	case "":
		return false, nil
	case "1", "true", "on":
		return true, nil
	case "0", "false", "off":
		return false, nil
	}
	return false, &api.Problem{Kind: api.Usage, What: name + "=" + q.Get(name), Why: name + " is 1 or 0",
		Fix: "write " + name + "=1"}
}
