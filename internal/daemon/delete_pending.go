// SPDX-License-Identifier: MIT

package daemon

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
	"nicteam/internal/managers"
	"nicteam/internal/panics"
	"nicteam/internal/pending"
	"nicteam/internal/sandbox"
)

// A delete that waits for confirmation: the process gives the host back and hands over to a next one, which has nothing
// to do with any NIC. It only answers, and waits; its supervisor starts it again if it dies. At the deadline it hands
// over to one that makes the team anew, as at boot.

// deleteForNow is Delete, until it is confirmed. The caller holds changeMu.
func (s *session) deleteForNow(name string, o control.ChangeOptions) (steps []string, err error) {
	c := &aChange{verb: pending.Delete, text: "delete", what: "delete " + name, o: o}
	if err := s.beforeChange(c); err != nil {
		return nil, err
	}
	r := s.unmade
	s.unmade = nil
	test := s.beginGivenBackTest(o)
	steps, err = s.giveBack()
	if err != nil {
		s.dirs.RemovePending(name)
		return steps, deleteProblem(name, err)
	}
	step, cutOff := test.check()
	r.Done()
	if cutOff != nil {
		r.Revert("the host would be cut off: " + cutOff.Error())
	}
	if err := r.Save(s.dirs.PendingFile(name)); err != nil {
		s.log.Error("the next process will make the team anew", "team", name, "err", err)
	}
	s.saveHistory()
	s.comesBack = true
	s.endOnce.Do(func() { close(s.deleted) })
	if cutOff != nil {
		return nil, &api.Problem{Kind: api.Reverted, What: c.what, Why: r.Reason + "; the team is made anew",
			Fix: "check the switch ports and the cables of the NICs", Err: cutOff}
	}
	if step != "" {
		steps = append(steps, step)
	}
	return append(steps, fmt.Sprintf("delete is reverted in %v unless it is confirmed: nicteam confirm %s", o.Confirm,
		name)), nil
}

// deletedTeam answers for a team whose delete waits for confirmation.
type deletedTeam struct {
	o       Options
	r       *pending.Record
	started time.Time

	once  sync.Once
	ended chan error // nil: confirmed
}

// awaitConfirmation waits until a delete is confirmed, and returns nil, or is not, and returns ErrHandedOver.
func awaitConfirmation(ctx context.Context, o Options, r *pending.Record) error {
	name := o.Config.Team
	d := &deletedTeam{o: o, r: r, started: time.Now(), ended: make(chan error, 1)}
	server, err := control.Listen(o.Socket(name), d, control.Options{Log: o.Log, Panics: panics.New(o.Log),
		Version: o.Version})
	if err != nil {
		return err
	}
	if o.Supervisor.Kind() != "" { // else it executes its next process itself
		if err := d.confine(); err != nil {
			o.Log.Warn("the process is not fully confined", "team", name, "err", err)
		}
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving) }()
	defer func() {
		stop()
		<-served
	}()
	o.Log.Info("deleted, and the delete waits for confirmation", "team", name, "left", r.Left())
	_ = o.Supervisor.Notify("READY=1", "WATCHDOG=1", "STATUS=deleted, waits for confirmation")
	const look = 500 * time.Millisecond // the sign of life; timers stand still during a suspend, the deadline does not
	for {
		timer := time.NewTimer(min(d.r.Left(), look))
		select {
		case err := <-d.ended:
			timer.Stop()
			return err
		case <-ctx.Done():
			timer.Stop()
			d.stop()
			return <-d.ended
		case <-timer.C:
			_ = o.Supervisor.Notify("WATCHDOG=1")
			if d.r.Left() == 0 {
				d.once.Do(func() { d.ended <- ErrHandedOver })
			}
		}
	}
}

// confine leaves the process what it needs: files, and its socket.
func (d *deletedTeam) confine() error {
	if err := sandbox.KeepCapabilities(); err != nil {
		return err
	}
	return sandbox.WriteOnly(d.o.RunDir, d.o.StateDir, d.o.ConfigDir, "/dev/null")
}

// Confirm ends the team for good.
func (d *deletedTeam) Confirm(context.Context) (steps []string, err error) {
	d.once.Do(func() {
		name := d.o.Config.Team
		steps = []string{"delete is confirmed"}
		d.end(pending.Confirmed, "", steps)
		removeTeamFiles(d.o.Dirs, name)
		managers.New(managers.Options{Team: name, StateDir: d.o.StateDir, Log: d.o.Log}).Forget()
		d.o.RemoveHistory(name)
		d.ended <- nil
	})
	if steps == nil {
		return nil, d.over("confirm")
	}
	return steps, nil
}

// Revert makes the next process make the team anew.
func (d *deletedTeam) Revert(context.Context) (steps []string, err error) {
	d.once.Do(func() {
		r := *d.r
		r.Revert("it was asked for")
		if err = r.Save(d.o.PendingFile(d.o.Config.Team)); err != nil {
			d.o.Log.Error("not reverted before its time", "team", d.o.Config.Team, "err", err)
		}
		steps = []string{"delete is reverted: " + d.o.Config.Team + " starts"}
		d.ended <- ErrHandedOver
	})
	if steps == nil {
		return nil, d.over("revert")
	}
	return steps, err
}

func (d *deletedTeam) over(what string) error {
	return notPending(what+" "+d.o.Config.Team, d.o.Config.Team, d.o.OutcomeFile(d.o.Config.Team))
}

// stop: somebody stops the team's service while it is open whether the team is deleted. What a later start uses stays.
func (d *deletedTeam) stop() {
	d.once.Do(func() {
		d.end(pending.Reverted, "the team was stopped; its next start makes it anew", nil)
		atomicfile.Remove(d.o.RunningConfig(d.o.Config.Team))
		d.ended <- nil
	})
}

func (d *deletedTeam) end(result, why string, steps []string) {
	name := d.o.Config.Team
	d.o.Log.Info(result, "team", name, "change", d.r.Change, "reason", why)
	if err := d.r.End(result, why, steps, nil).Save(d.o.OutcomeFile(name)); err != nil {
		d.o.Log.Warn("outcome of the change not written", "team", name, "err", err)
	}
	d.o.RemovePending(name)
}

// removeTeamFiles removes what a next start would use, and the log.
func removeTeamFiles(d launch.Dirs, name string) {
	for _, path := range d.ConfigFiles(name) {
		atomicfile.Remove(path)
	}
	_ = os.Remove(d.LogFile(name))
	_ = os.Remove(logs.Old(d.LogFile(name)))
}

// Status tells that the team is deleted for now.
func (d *deletedTeam) Status() *api.Status {
	c := d.o.Config
	return &api.Status{Schema: api.StatusSchema, Team: c.Team, Mode: c.Mode.String(), State: "down",
		Reason: "deleted, and the delete waits for confirmation", Since: d.r.Since, PID: os.Getpid(),
		Started: d.started, Version: d.o.versionText(),
		Supervisor: &api.Supervisor{Kind: cmp.Or(d.o.Supervisor.Kind(), supervisorNone), Starts: 1,
			LastStart: startNew},
		Adapter: api.Adapter{Addresses: []string{}},
		Balance: c.Balance, Members: []api.Member{}, Warnings: []string{}, Pending: d.r.Status()}
}

// Meter, Totals and Events have nothing to tell.
func (d *deletedTeam) Meter() func() *api.Rates {
	return func() *api.Rates {
		return &api.Rates{Schema: api.RatesSchema, Time: time.Now(), Team: d.o.Config.Team,
			Members: []api.MemberRates{}, Protocols: []api.ProtocolRates{}}
	}
}

// Totals are none.
func (d *deletedTeam) Totals() *api.Totals { return &api.Totals{} }

// Events are those of the team that comes back or not.
func (d *deletedTeam) Events(context.Context, bool) <-chan api.Event {
	c := make(chan api.Event)
	close(c)
	return c
}

// History and the others answer that there is no team at this moment.
func (d *deletedTeam) History(api.HistoryQuery) (*api.History, error) {
	return nil, d.none("read the history")
}

// Explain has no member to name.
func (d *deletedTeam) Explain(string) (*api.Explanation, error) { return nil, d.none("explain") }

// Peers are none.
func (d *deletedTeam) Peers(context.Context) (*api.Peers, error) { return nil, d.none("list peers") }

// Add waits like every other change.
func (d *deletedTeam) Add(context.Context, []string, control.ChangeOptions) ([]string, error) {
	return nil, d.gone("add")
}

// Remove waits, too.
func (d *deletedTeam) Remove(context.Context, []string, control.ChangeOptions) ([]string, error) {
	return nil, d.gone("remove")
}

// Set waits, too.
func (d *deletedTeam) Set(context.Context, map[string]string, control.ChangeOptions) ([]string, error) {
	return nil, d.gone("set")
}

// Apply waits, too.
func (d *deletedTeam) Apply(context.Context, control.Config, control.ChangeOptions) ([]string, error) {
	return nil, d.gone("apply to")
}

// Delete waits, too: it is confirmed or reverted.
func (d *deletedTeam) Delete(context.Context, control.ChangeOptions) ([]string, error) {
	return nil, d.gone("delete")
}

// Plan is refused.
func (d *deletedTeam) Plan(_ context.Context, c control.Change) (*api.Plan, error) {
	return nil, d.gone(c.Verb)
}

// none answers a question about a team that is not there.
func (d *deletedTeam) none(what string) error {
	name := d.o.Config.Team
	return &api.Problem{Kind: api.NotFound, What: what + " of " + name,
		Why: "it is deleted, and the delete waits for confirmation", Fix: "nicteam revert " + name + " brings it back"}
}

func (d *deletedTeam) gone(what string) error {
	return waitingProblem(what+" "+d.o.Config.Team, d.o.Config.Team, d.r)
}

// Stop ends the wait; with handover the next process waits on.
func (d *deletedTeam) Stop(_ context.Context, handover bool) ([]string, error) {
	if !handover {
		d.stop()
		return []string{d.o.Config.Team + " is stopped"}, nil
	}
	d.once.Do(func() { d.ended <- ErrHandedOver })
	return []string{d.o.Config.Team + " is handed over to its next process"}, nil
}
