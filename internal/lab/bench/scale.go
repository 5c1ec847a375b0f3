// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
)

// scaleMembers are the sizes of teams that are compared.
var scaleMembers = []int{2, 8, 32, 64}

var scaleMeasures = []string{"scale-create", "scale-create-cpu", "scale-rss", "scale-decided", "scale-idle-cpu",
	"scale-delete"}

// scale measures what grows with the number of members: a team of very many NICs is to be made, to decide and to end as
// one of two does. Contestants are named by the number of members. All are veth, by a cable each to peer.
func (b *bench) scale(ctx context.Context) {
	created := b.measure("scale-create", "nicteam create returns, by number of members; fast path", "ms")
	createCPU := b.measure("scale-create-cpu",
		"time of processors until then: of the command and of the team's process", "ms")
	rss := b.measure("scale-rss", "memory of the team's process after it (VmRSS)", "MB")
	decided := b.measure("scale-decided", "a carrier loss is noticed until the new Plan is in force", "ms")
	idle := b.measure("scale-idle-cpu", "time that the team's process takes of one CPU while nothing is sent", "%")
	deleted := b.measure("scale-delete", "nicteam delete returns", "ms")
	all := []*measure{created, createCPU, rss, decided, idle, deleted}
	for _, n := range scaleMembers {
		if err := b.scaleOf(ctx, n, all); err != nil {
			for _, m := range all {
				m.add(strconv.Itoa(n)).Missing = err.Error()
			}
			b.logf("scale: %d members: not taken: %v", n, err)
		}
	}
}

func (b *bench) scaleOf(ctx context.Context, n int, all []*measure) error {
	r, err := b.direct("scale", n)
	if err != nil {
		return err
	}
	defer b.close(r)
	create, err := r.manyMembers(ctx, n, "--mode", "active-backup", "--damping", "off")
	if err != nil {
		return err
	}
	b.interleave(ctx, b.few(5), []contestant{{name: strconv.Itoa(n),
		take: func(ctx context.Context) ([]float64, error) { return r.scaleTurn(ctx, create) }}}, all...)
	return nil
}

// manyMembers prepares box and peer for a team of n NICs, and returns the arguments of nicteam that make it.
func (r *rig) manyMembers(ctx context.Context, n int, settings ...string) ([]string, error) {
	if err := r.plain(ctx); err != nil {
		return nil, err
	}
	args := append([]string{"create", teamName, "--datapath", fast, "--no-persist"}, settings...)
	for i := range n {
		nic := fmt.Sprintf("eth%d", i+1)
		if err := errors.Join(r.box.Up(nic), r.peer.Up(nic)); err != nil {
			return nil, err
		}
		args = append(args, nic)
	}
	r.path, r.client = fast, control.NewClient(r.box.Path("/run/nicteam"), teamName)
	r.deferClose(func() error { r.client.Close(); return nil })
	return args, nil
}

// scaleTurn makes the team, measures it and ends it.
func (r *rig) scaleTurn(ctx context.Context, create []string) ([]float64, error) {
	f := make([]float64, 6)
	cmd := r.box.CommandContext(ctx, r.binary, create...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("nicteam create: %w: %s", err, oneLine(out))
	}
	f[0] = milliseconds(time.Since(start))
	if err := r.checkDatapath(ctx); err != nil {
		return nil, err
	}
	st, err := r.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	took, err := wholeCPUTime(st.PID)
	if err != nil {
		return nil, err
	}
	f[1] = milliseconds(took + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	if err := r.scaleRunning(ctx, st, f); err != nil {
		return nil, err
	}
	start = time.Now()
	err = r.nicteam(ctx, "delete", teamName)
	f[5] = milliseconds(time.Since(start))
	return f, err
}

// scaleRunning measures a team that runs: memory, decision, idle time.
func (r *rig) scaleRunning(ctx context.Context, st *api.Status, f []float64) (err error) {
	if f[2], _, err = resident(st.PID); err != nil {
		return err
	}
	if f[3], err = r.decide(ctx, st.Active); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil { // what follows from the loss is over by then
		return err
	}
	was, err := cpuTime(st.PID)
	at := time.Now()
	if err == nil {
		err = pause(ctx, 4*time.Second)
	}
	if err != nil {
		return err
	}
	is, err := cpuTime(st.PID)
	f[4] = 100 * (is - was).Seconds() / time.Since(at).Seconds()
	return err
}

// decide cuts a member's cable, mends it, and returns how long the team took from the notice to its new Plan.
func (r *rig) decide(ctx context.Context, member string) (ms float64, err error) {
	n, err := strconv.Atoi(member[len("eth"):])
	if err != nil {
		return 0, err
	}
	// Link events are told at once again by then.
	if err := pause(ctx, quiet); err != nil {
		return 0, err
	}
	if err := r.lines[n-1].Cut(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.lines[n-1].Mend()) }()
	if _, err := r.awaitStatus(ctx, "another member is active", func(s *api.Status) bool {
		return s.Active != "" && s.Active != member
	}); err != nil {
		return 0, err
	}
	found := false
	err = r.client.Events(ctx, false, func(e *api.Event) error {
		if e.Event == "member-down" && e.Member == member {
			ms, found = milliseconds(time.Duration(e.Took)), true
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("no event says that %s went down", member)
	}
	return ms, err
}
