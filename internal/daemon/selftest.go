// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/selftest"
)

// A change of the network that cuts the host off is undone (package selftest): whoever asked for it may be cut off, too,
// and cannot undo it. Who forces a change has it as it is.

// beginSelfTest asks by these links before a change. nil: there is no test.
func (s *session) beginSelfTest(team string, o control.ChangeOptions, moves bool, links []int) *selftest.Test {
	if o.Force {
		return nil
	}
	t, err := selftest.Begin(selftest.Options{Host: s.host, Session: o.Session, Moves: moves,
		Log: s.log.With("team", team)}, links...)
	if err != nil {
		s.log.Warn("the change is not tested", "team", team, "err", err)
		return nil
	}
	return t
}

// selfTestProblem is a self-test that failed. The caller undoes the change.
func (s *session) selfTestProblem(what string, cause error) *api.Problem {
	p := &api.Problem{Kind: api.Reverted, What: what, Why: "the host would be cut off: " + cause.Error(), Err: cause,
		Fix: "check the switch ports and the cables of the NICs, or keep the change nevertheless: --force"}
	st := s.team.Status()
	if st.State == "down" {
		p.Why += "; the team does not forward: " + st.Reason
		if st.LACP != nil {
			p.Fix = unreachableFix(st)
		}
	}
	return p
}

// tests reports whether this start is one that somebody waits for, and who would lose the way to this host.
func (u *startup) tests() bool { return u.strict && !u.resume && !u.change.Force }

// beginCreateTest begins the self-test of a create. The NICs are still the host's; the answers come while the adapter is
// made.
func (u *startup) beginCreateTest() {
	if !u.tests() {
		return
	}
	var links []int
	for _, name := range u.config.MemberNames() {
		if n, err := u.host.NIC(name); err == nil {
			links = append(links, n.Index)
		}
	}
	u.test = u.beginSelfTest(u.config.Team, u.change, u.config.Address.FromMembers(), links)
}

// patience: who waits for a create that cuts the host off does not wait longer than for the self-test.
func (u *startup) patience() patience {
	switch {
	case u.boot:
		return patience{bootLinkTime, lacpTimeout}
	case u.tests() && !u.test.Empty():
		return patience{forwardTimeout, selftest.Within}
	}
	return patience{forwardTimeout, lacpTimeout}
}

// checkCreate returns the error of a create that cuts the host off. forwards: the team forwards, by its data path.
func (u *startup) checkCreate(ctx context.Context, forwards bool) error {
	if !u.tests() || ctx.Err() != nil {
		return ctx.Err()
	}
	if forwards {
		u.test.AtLeast(time.Second)
	}
	step, err := u.test.Check(ctx)
	switch {
	case err != nil:
		return u.selfTestProblem("create "+u.config.Team, err)
	case forwards && step != "":
		u.rep.Step("%s", step)
	case !forwards:
		if p := u.withoutPartner(u.taken); p != nil {
			return p
		}
	}
	return ctx.Err()
}
