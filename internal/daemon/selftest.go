// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/selftest"
)

// A change of the network that cuts the host off is undone (package selftest): whoever asked for it may be cut off,
// too, and cannot undo it. Who forces a change has it as it is.

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

// tested makes a change of the running team, and undoes it if it cuts the host off. The caller holds changeMu.
func (s *session) tested(c *aChange, do func() ([]string, error)) ([]string, error) {
	if c.harmless {
		return do()
	}
	ctx, config := context.Background(), s.team.Config()
	links := []int{s.adapter.Index()}
	for _, name := range c.nics {
		if n, err := s.host.NIC(s.realName(name)); err == nil {
			links = append(links, n.Index)
		}
	}
	test := s.beginSelfTest(config.Team, c.o, config.Address.FromMembers(), links)
	test.Settle(ctx)
	steps, err := do()
	if err != nil {
		return steps, err
	}
	test.Through(s.adapterName, s.adapter.Index())
	step, err := test.Check(ctx)
	if err == nil {
		if step != "" {
			steps = append(steps, step)
		}
		return steps, nil
	}
	problem := s.selfTestProblem(c.what, err)
	s.team.Record("reverted", "", c.text+": "+err.Error())
	undone, faults := s.goBack(ctx, c.was)
	s.log.Warn("reverted", "team", config.Team, "change", c.text, "reason", err, "steps", undone, "faults", faults)
	if e := s.saveConfig(); e != nil {
		faults = append(faults, e.Error())
	}
	problem.Why += "; the change was undone"
	if len(faults) > 0 {
		problem.Why += ", but: " + strings.Join(faults, "; ")
		problem.Fix = "nicteam status " + config.Team + " shows what is left of it"
	}
	return nil, problem
}

// A givenBackTest tests whether the host is reached by the NICs after a delete. There is no team that could be had
// back.
type givenBackTest struct {
	test  *selftest.Test
	names []string
	links []int
	log   *slog.Logger
}

// beginGivenBackTest begins it. The caller holds changeMu.
func (s *session) beginGivenBackTest(o control.ChangeOptions) *givenBackTest {
	c := s.team.Config()
	g := &givenBackTest{log: s.log.With("team", c.Team)}
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			g.names, g.links = append(g.names, m.Name), append(g.links, m.Index)
		}
	}
	g.test = s.beginSelfTest(c.Team, o, c.Address.FromMembers(), []int{s.adapter.Index()})
	g.test.Settle(context.Background())
	return g
}

// check is called when the host is given back.
func (g *givenBackTest) check() (step string, err error) {
	if g.test.Empty() {
		return "", nil
	}
	h, err := host.Open(host.Options{Logger: g.log}) // the team's is closed
	if err != nil {
		g.log.Warn("the give-back is not tested", "err", err)
		return "", nil
	}
	defer func() { _ = h.Close() }()
	g.test.Use(h)
	g.test.Through(strings.Join(g.names, ", "), g.links...)
	return g.test.Check(context.Background())
}

// steps is check for a delete that stands.
func (g *givenBackTest) steps(team string) []string {
	step, err := g.check()
	switch {
	case err != nil:
		g.log.Warn("the host may be cut off", "reason", err)
		return []string{fmt.Sprintf("warning: the host may be cut off: %v; check the switch ports and the cables, "+
			"ip addr and ip route show what the NICs have, and nicteam create %s %s makes the team anew", err, team,
			strings.Join(g.names, " "))}
	case step == "":
		return nil
	}
	return []string{step}
}

// tests reports whether this start is one that somebody waits for, and who would lose the way to this host.
func (u *startup) tests() bool { return u.strict && !u.resume && !u.change.Force }

// beginCreateTest begins the self-test of a create. The NICs are still the host's; the answers come while the adapter
// is made.
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
