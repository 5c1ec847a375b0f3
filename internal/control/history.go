// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"nicteam/internal/api"
)

// The period of a history.
const (
	defaultPeriod = time.Hour
	longestPeriod = 366 * 24 * time.Hour
)

// defaultSteps are candidates for the default step: the first that gives at most defaultColumns columns is used.
var defaultSteps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
	30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

const defaultColumns = 500

// HistoryOptions select a part of a team's history. The zero value is the last hour of all members.
type HistoryOptions struct {
	Last     time.Duration // before To; 0: an hour, unless From is given
	From, To time.Time     // zero To: now
	Step     time.Duration // 0: a step that gives a few hundred columns
	Member   string        // "": the team and all members
}

// history answers few requests at a time: an answer may have megabytes, and slow clients would hold many of them in
// memory.
func (s *Server) history(w http.ResponseWriter, r *http.Request, q url.Values) (any, error) {
	ask, err := historyQuery(q, time.Now())
	if err != nil {
		return nil, err
	}
	histories := connOf(r.Context()).histories
	select {
	case histories <- struct{}{}:
		defer func() { <-histories }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	doc, err := s.b.History(ask)
	if err != nil {
		return nil, err
	}
	s.answer(w, http.StatusOK, doc)
	return nil, nil
}

func historyQuery(q url.Values, now time.Time) (ask api.HistoryQuery, err error) {
	bad := func(name, why, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s=%.40q", name, q.Get(name)), Why: why, Fix: fix}
	}
	duration := func(name string, least, most time.Duration) (time.Duration, error) {
		if !q.Has(name) {
			return 0, nil
		}
		d, err := time.ParseDuration(q.Get(name))
		if err != nil || d < least || d > most {
			return 0, bad(name, fmt.Sprintf("want a duration from %v to %v", least, most), "use "+name+"=10m")
		}
		return d, nil
	}
	at := func(name string) (time.Time, error) {
		if !q.Has(name) {
			return time.Time{}, nil
		}
		t, err := time.Parse(time.RFC3339Nano, q.Get(name))
		if err != nil {
			return t, bad(name, "want a time in RFC 3339", "use "+name+"="+now.UTC().Format(time.RFC3339))
		}
		return t, nil
	}
	last, err := duration("last", time.Second, longestPeriod)
	if err != nil {
		return ask, err
	}
	if ask.Step, err = duration("step", time.Second, longestPeriod); err != nil {
		return ask, err
	}
	if ask.From, err = at("from"); err != nil {
		return ask, err
	}
	if ask.To, err = at("to"); err != nil {
		return ask, err
	}
	if !q.Has("to") {
		ask.To = now
	}
	switch {
	case last > 0 && q.Has("from"):
		return ask, bad("last", "last and from both set the start", "use one of them")
	case last > 0:
		ask.From = ask.To.Add(-last)
	case !q.Has("from"):
		ask.From = ask.To.Add(-defaultPeriod)
	}
	period := ask.To.Sub(ask.From)
	if period <= 0 || period > longestPeriod {
		return ask, bad("from", fmt.Sprintf("want from before to, by at most %v", longestPeriod),
			"use last=1h")
	}
	if ask.Member = q.Get("member"); len(ask.Member) > maxName || q.Has("member") && ask.Member == "" {
		return ask, bad("member", "a name has 1 to 15 bytes, an altname up to 127", "nicteam status shows the members")
	}
	if ask.Step == 0 {
		ask.Step = defaultStep(period)
	}
	return ask, nil
}

func defaultStep(period time.Duration) time.Duration {
	for _, step := range defaultSteps {
		if period <= defaultColumns*step {
			return step
		}
	}
	return (period/defaultColumns + time.Hour).Truncate(time.Hour)
}

// History asks for the recorded traffic.
func (c *Client) History(ctx context.Context, o HistoryOptions) (*api.History, error) {
	q := url.Values{}
	for name, d := range map[string]time.Duration{"last": o.Last, "step": o.Step} {
		if d != 0 {
			q.Set(name, d.String())
		}
	}
	for name, t := range map[string]time.Time{"from": o.From, "to": o.To} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	if o.Member != "" {
		q.Set("member", o.Member)
	}
	var d api.History
	if err := c.ask(ctx, c.wait, "GET", "/v1/history?"+q.Encode(), nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}
