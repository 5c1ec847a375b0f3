// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"nicteam/internal/api"
)

// maxBody bounds the body of a request.
const maxBody = 64 << 10

// body reads strict JSON into v: one value, no unknown fields.
func body(r *http.Request, v any, like string) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return parseBody(b, v, like)
}

// bodyProblem returns the problem of a body that did not arrive completely.
func bodyProblem(err error, what string) *api.Problem {
	p := &api.Problem{Kind: api.Usage, What: what, Why: "the body is incomplete", Fix: "send it again"}
	if tooLarge(err) {
		p.Why, p.Fix = fmt.Sprintf("the body is larger than %d KiB", maxBody>>10), "send less"
	}
	return p
}

func parseBody(b []byte, v any, like string) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return badBody(err.Error(), like)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badBody("want one JSON value, got more", like)
	}
	return nil
}

func badBody(why, like string) error {
	return &api.Problem{Kind: api.Usage, What: "read the request", Why: why, Fix: "send " + like}
}

type membersBody struct {
	Names []string `json:"names"`
}

func parseMembers(b []byte) ([]string, error) {
	var m membersBody
	if err := parseBody(b, &m, `{"names":["eth2"]}`); err != nil {
		return nil, err
	}
	return m.Names, checkNames(m.Names)
}

// maxNames is the largest number of members of a team.
const maxNames = 64

// maxName is ALTIFNAMSIZ without the zero byte.
const maxName = 127

// checkNames bounds the number and length of names; the backend checks that the NICs exist.
func checkNames(names []string) error {
	if len(names) == 0 || len(names) > maxNames {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%d NICs named", len(names)),
			Why: fmt.Sprintf("want 1 to %d", maxNames), Fix: "name the NICs"}
	}
	for _, n := range names {
		if n == "" || len(n) > maxName {
			return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%.40q is not a NIC name", n),
				Why: fmt.Sprintf("a name has 1 to 15 bytes, an altname up to %d", maxName),
				Fix: "nicteam list shows the NICs of this host"}
		}
	}
	return nil
}

func (s *Server) add(_ http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	o, err := parseChangeOptions(q)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	if err := body(r, &raw, `{"names":["eth2"]}`); err != nil {
		return nil, err
	}
	names, err := parseMembers(raw)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		return s.plan(r.Context(), Change{Verb: "add", NICs: names, Options: o})
	}
	s.logChange(r, "add "+strings.Join(names, " "))
	return s.result(s.b.Add(r.Context(), names, o))
}

func (s *Server) remove(_ http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	o, err := parseChangeOptions(q)
	if err != nil {
		return nil, err
	}
	names := append([]string{r.PathValue("nic")}, q["also"]...)
	if err := checkNames(names); err != nil {
		return nil, err
	}
	if o.DryRun {
		return s.plan(r.Context(), Change{Verb: "remove", NICs: names, Options: o})
	}
	s.logChange(r, "remove "+strings.Join(names, " "))
	return s.result(s.b.Remove(r.Context(), names, o))
}

func (s *Server) set(_ http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	o, err := parseChangeOptions(q)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	if err := body(r, &raw, `{"hash":"layer2"}`); err != nil {
		return nil, err
	}
	settings, err := parseSettings(raw)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		return s.plan(r.Context(), Change{Verb: "set", Settings: settings, Options: o})
	}
	s.logChange(r, "set "+Pairs(settings))
	return s.result(s.b.Set(r.Context(), settings, o))
}

// A Config is a configuration as a file has it.
type Config struct {
	YAML string `json:"yaml"`
	// Was is the config.Digest of the file of the team that somebody edited; "": it is no edited one. If the file is
	// another one now, the change is refused. The text replaces it as it is, with its comments.
	Was string `json:"was,omitempty"`
}

const configLike = `{"yaml":"team: team0\nmembers: [eth1, eth2]"}`

func (s *Server) apply(_ http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	o, err := parseChangeOptions(q)
	if err != nil {
		return nil, err
	}
	var c Config
	if err := body(r, &c, configLike); err != nil {
		return nil, err
	}
	if c.YAML == "" {
		return nil, badBody("yaml is missing", configLike)
	}
	if o.DryRun {
		return s.plan(r.Context(), Change{Verb: "apply", Config: c, Options: o})
	}
	s.logChange(r, "apply")
	return s.result(s.b.Apply(r.Context(), c, o))
}

// Pairs writes settings as a user types them.
func Pairs(settings map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		list = append(list, k+"="+settings[k])
	}
	return strings.Join(list, " ")
}

// parseSettings accepts strings, numbers and booleans; the backend checks their meaning.
func parseSettings(b []byte) (map[string]string, error) {
	const like = `{"hash":"layer2"}`
	var m map[string]any
	if err := parseBody(b, &m, like); err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, badBody("no setting given", like)
	}
	settings := make(map[string]string, len(m))
	for k, v := range m {
		switch v := v.(type) {
		case string:
			settings[k] = v
		case json.Number:
			settings[k] = v.String()
		case bool:
			settings[k] = map[bool]string{true: "on", false: "off"}[v]
		default:
			return nil, badBody(fmt.Sprintf("the value of %.40q is not a string, number or boolean", k),
				like)
		}
	}
	return settings, nil
}

// delete finishes even if its client disconnects: a partly released team is worse than none.
func (s *Server) delete(_ http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	o, err := parseChangeOptions(q)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		return s.plan(r.Context(), Change{Verb: "delete", Options: o})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.o.workTime)
	defer cancel()
	s.logChange(r, "delete")
	name := s.name()
	steps, err := s.b.Delete(ctx, o)
	if err != nil {
		return nil, err
	}
	return api.NewResult(name, steps), nil
}

// confirm finishes even if its client disconnects.
func (s *Server) confirm(_ http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.o.workTime)
	defer cancel()
	s.logChange(r, "confirm")
	return s.result(s.b.Confirm(ctx))
}

// revert finishes even if its client disconnects: the network may go away with the change that it undoes.
func (s *Server) revert(_ http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.o.workTime)
	defer cancel()
	s.logChange(r, "revert")
	name := s.name()
	steps, err := s.b.Revert(ctx)
	if err != nil {
		return nil, err
	}
	return api.NewResult(name, steps), nil
}

// stop finishes even if its client disconnects, as delete does.
func (s *Server) stop(_ http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	var raw json.RawMessage
	if err := body(r, &raw, stopLike); err != nil {
		return nil, err
	}
	handover, err := parseStop(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.o.workTime)
	defer cancel()
	what, name := "stop", s.name()
	if handover {
		what = "hand over"
	}
	s.logChange(r, what)
	steps, err := s.b.Stop(ctx, handover)
	if err != nil {
		return nil, err
	}
	return api.NewResult(name, steps), nil
}

type stopBody struct {
	Handover *bool `json:"handover"`
}

const stopLike = `{"handover":false}`

func parseStop(b []byte) (handover bool, err error) {
	var o stopBody
	if err := parseBody(b, &o, stopLike); err != nil {
		return false, err
	}
	if o.Handover == nil {
		return false, badBody("handover is missing", stopLike)
	}
	return *o.Handover, nil
}

func (s *Server) result(steps []string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return api.NewResult(s.name(), steps), nil
}
