// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"errors"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// ask asks a team's process on a host over its socket, as `nicteam VERB --json` does, for what that prints. Tests do
// so again and again; starting the binary each time takes ten times as much of the processors. What the binary itself
// prints is tested by those that run it. On a busy machine the team's process may not answer in time; then ask asks
// again.
func ask[T any](t testing.TB, h *lab.Host, team string, f func(*control.Client, context.Context) (*T, error)) *T {
	t.Helper()
	var answer *T
	labtest.Eventually(t, "an answer of "+team, func() (answered bool) {
		var err error
		answer, err = tryAsk(h, team, f)
		if p := (*api.Problem)(nil); errors.As(err, &p) && p.Kind == api.NoAnswer {
			return false
		}
		labtest.Must(t, err)
		return true
	})
	return answer
}

// tryAsk asks once.
func tryAsk[T any](h *lab.Host, team string, f func(*control.Client, context.Context) (*T, error)) (*T, error) {
	c := control.NewClient(h.Path("/run/nicteam"), team)
	c.Supervised = func() bool { return true }
	defer c.Close()
	// Not the test's context, which has ended when its cleanups ask.
	return f(c, context.Background())
}
