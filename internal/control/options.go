// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/ssh"
)

// ChangeOptions are how a change is to be made.
type ChangeOptions struct {
	// Accept: the caller has seen what else the change does (filters and sockets that stay bound to NICs), and goes on.
	Accept bool
	// Force also does what would be refused: removes the last member, deletes the links that use the adapter, adds NICs
	// on which others stand. It keeps a change even if the host is cut off.
	Force bool
	// DryRun asks for the plan of the change, which is not made.
	DryRun bool
	// Confirm is how long the change stands without a confirmation; then it is reverted. 0: it needs none.
	Confirm time.Duration
	// Session is the caller's SSH connection, which the change must not break; zero: none.
	Session ssh.Connection
}

// The bounds of ChangeOptions.Confirm.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// changeParameters are the parameters of every change.
var changeParameters = []string{"accept", "force", "dry_run", "confirm", "session"}

// MarshalText writes the options for another process.
func (o ChangeOptions) MarshalText() ([]byte, error) {
	return []byte(strings.TrimPrefix(o.query(nil), "?")), nil
}

// UnmarshalText reads what MarshalText writes.
func (o *ChangeOptions) UnmarshalText(text []byte) error {
	q, err := query("read change options", string(text), changeParameters)
	if err == nil {
		*o, err = parseChangeOptions(q)
	}
	return err
}

// query returns the options as parameters, "?…", or "" if there are none. more are added to them.
func (o ChangeOptions) query(more url.Values) string {
	q := url.Values{}
	for k, v := range more {
		if len(v) > 0 {
			q[k] = v
		}
	}
	if o.Accept {
		q.Set("accept", "1")
	}
	if o.Force {
		q.Set("force", "1")
	}
	if o.DryRun {
		q.Set("dry_run", "1")
	}
	if o.Confirm != 0 {
		q.Set("confirm", o.Confirm.String())
	}
	if !o.Session.IsZero() {
		q.Set("session", o.Session.String())
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// parseChangeOptions reads the parameters that query writes.
func parseChangeOptions(q url.Values) (o ChangeOptions, err error) {
	if o.Accept, err = flag(q, "accept"); err != nil {
		return o, err
	}
	if o.Force, err = flag(q, "force"); err != nil {
		return o, err
	}
	if o.DryRun, err = flag(q, "dry_run"); err != nil {
		return o, err
	}
	if o.Confirm, err = ParseConfirm(q.Get("confirm")); err != nil {
		return o, err
	}
	if o.Session, err = ssh.Parse(q.Get("session")); err != nil {
		return o, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("session=%.200s", q.Get("session")),
			Why: "want CLIENT:PORT-SERVER:PORT", Fix: "use session=10.9.0.2:40000-10.9.0.1:22", Err: err}
	}
	return o, nil
}

// ParseConfirm reads how long a change stands without a confirmation: 0 (also "") for one that needs none.
func ParseConfirm(text string) (time.Duration, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	bad := &api.Problem{Kind: api.Usage, What: fmt.Sprintf("confirm %.40q", text), Fix: "write it as 60s or 5m"}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		bad.Why = "want a time with its unit, or 0 for a change that needs no confirmation"
	case d == 0:
		return 0, nil
	case d < MinConfirm || d > MaxConfirm:
		bad.Why = "want 1s to 24h, or 0 for a change that needs no confirmation"
	default:
		return d, nil
	}
	return 0, bad
}
