// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Any goroutine may call the methods here. They wait until Run runs. What takes long (the data path opens a NIC) runs
// in the caller's goroutine and delays no failover.

// Join makes a NIC a member and returns its id. The data path moves frames through it as soon as its link is up. weight
// 0 is the configured one, else 1. The error is an *api.Problem.
func (t *Team) Join(ctx context.Context, l Link, weight float64, info MemberInfo) (id int, err error) {
	out, err := t.post(ctx, request{in: Reserve{Link: l}})
	if err != nil {
		return -1, err
	}
	id = out.ID
	settled := context.WithoutCancel(ctx) // what was started is finished in any case
	if err := t.o.Datapath.Join(id, l); err != nil {
		_, _ = t.post(settled, request{in: Released{ID: id}})
		return -1, &api.Problem{Kind: api.Failed, What: fmt.Sprintf("add %s to %s", l.Name, t.o.Config.Team),
			Why: err.Error(), Fix: "nicteam list shows the NICs of this host", Err: err}
	}
	base := t.counters().Members[id]
	if _, err := t.post(settled, request{in: Joined{ID: id, Link: l, Weight: weight, Info: info},
		base: &base}); err != nil {
		return id, err
	}
	t.watch.Add(l.Index) // after Joined, so that its first report is not lost
	return id, nil
}

const (
	drainMax   = time.Second            // the longest that a drain takes
	drainQuiet = 100 * time.Millisecond // nothing has arrived for so long: peers know the new way
	drainPoll  = 5 * time.Millisecond
)

// Drain ends distributing by a member, and returns when no frame leaves or arrives by it any more, after a second at
// the latest. Without force the last member stays. If ctx ends first, the member works as before. Draining twice is
// fine. The error is an *api.Problem or ctx's.
func (t *Team) Drain(ctx context.Context, name string, force bool) error {
	out, err := t.post(ctx, request{in: Drain{Name: name, Force: force}})
	if err != nil {
		return err
	}
	look := time.NewTicker(drainPoll)
	defer look.Stop()
	begin := time.Now()
	arrived, last := t.received(out.ID), begin
	for {
		select {
		case <-ctx.Done():
			_, _ = t.post(context.WithoutCancel(ctx), request{in: Undrain{Name: name}})
			return ctx.Err()
		case <-t.ended:
			return errEnded
		case <-look.C:
		}
		now := time.Now()
		if n := t.received(out.ID); n != arrived {
			arrived, last = n, now
		}
		sends := t.snapshot.Load().plan.Distributing.Has(out.ID) // flows that are still under way by it
		quiet := !sends && now.Sub(last) >= drainQuiet && t.o.Datapath.Backlog(out.ID) == 0
		if quiet || now.Sub(begin) >= drainMax {
			return nil
		}
	}
}

// received is the number of frames for this host alone that a member received, without those of link watches.
func (t *Team) received(id int) (n uint64) {
	var m Moved
	t.o.Datapath.Moved(&m)
	return m[id].RX
}

// Leave removes a member without draining it, and closes it. Without force the last member stays. The error is an
// *api.Problem.
func (t *Team) Leave(ctx context.Context, name string, force bool) error {
	select {
	case t.memberLock <- struct{}{}:
		defer func() { <-t.memberLock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	out, err := t.post(ctx, request{in: Leave{Name: name, Force: force}})
	if err != nil {
		return err
	}
	t.watch.Remove(out.Link.Index)
	err = t.o.Datapath.Leave(out.ID)
	_, _ = t.post(context.WithoutCancel(ctx), request{in: Released{ID: out.ID}})
	if err != nil {
		return &api.Problem{Kind: api.Failed, What: fmt.Sprintf("remove %s from %s", name, t.o.Config.Team),
			Why: err.Error(), Fix: "the member has left; nothing needs doing", Err: err}
	}
	return nil
}

// Absent reports that a member's NIC is gone, before the link watch does.
func (t *Team) Absent(ctx context.Context, name string) error {
	_, err := t.post(ctx, request{in: Absent{Name: name}})
	return err
}

// Reopen opens a member on its NIC, which has come back, perhaps with another ifindex. The error is an *api.Problem;
// the member stays absent then.
func (t *Team) Reopen(ctx context.Context, name string, l Link, info MemberInfo) error {
	select {
	case t.memberLock <- struct{}{}:
		defer func() { <-t.memberLock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	out, err := t.post(ctx, request{in: Reopen{Name: name}})
	if err != nil {
		return err
	}
	t.watch.Remove(out.Link.Index)
	settled := context.WithoutCancel(ctx)
	// It may be closed already, by a Reopen that failed.
	_ = t.o.Datapath.Leave(out.ID)
	if err := t.o.Datapath.Join(out.ID, l); err != nil {
		return &api.Problem{Kind: api.Failed, What: fmt.Sprintf("take %s back into %s", name, t.o.Config.Team),
			Why: err.Error(), Fix: "nicteam list shows the NICs of this host", Err: err}
	}
	if _, err := t.post(settled, request{in: Reopened{ID: out.ID, Link: l, Info: info}}); err != nil {
		return err
	}
	t.watch.Add(l.Index)
	return nil
}

// Set adopts the live settings of another configuration (see [Change]); adapter, members and connections stay. Nothing
// is changed when any of it is wrong. The error is an *api.Problem.
func (t *Team) Set(ctx context.Context, c settings.Config) error {
	_, err := t.post(ctx, request{in: Change{Config: c}})
	return err
}

// End says farewell to partners, and returns when it is on its way; members must still be open. From then on the Plan
// does not change, until Resume or the end of Run.
func (t *Team) End(ctx context.Context) error {
	_, err := t.post(ctx, request{in: End{}})
	return err
}

// Resume takes an End back: the Plan is applied again. Without an End it does nothing.
func (t *Team) Resume(ctx context.Context) error {
	_, err := t.post(ctx, request{in: Resume{}})
	return err
}

// SetWatchTargets says whom the link watches may ask from now on.
func (t *Team) SetWatchTargets(ctx context.Context, targets monitor.Targets) error {
	_, err := t.post(ctx, request{in: WatchTargets{targets}})
	return err
}

// Undamp lets a member be used again that waits because it failed too often. The error is an *api.Problem.
func (t *Team) Undamp(ctx context.Context, name string) error {
	_, err := t.post(ctx, request{in: Undamp{Name: name}})
	return err
}

// Announce announces the adapter's addresses, for instance after it got them.
func (t *Team) Announce(ctx context.Context) error {
	_, err := t.post(ctx, request{in: Announce{}})
	return err
}

// Observe passes what the kernel reports of the adapter and of members' NICs.
func (t *Team) Observe(ctx context.Context, o Observed) error {
	_, err := t.post(ctx, request{in: o})
	return err
}

// Warn sets a warning that stands in the Status until it is cleared with an empty text.
func (t *Team) Warn(ctx context.Context, key, text string) error {
	_, err := t.post(ctx, request{in: Warn{Key: key, Text: text}})
	return err
}

// AddStartNotes adds warnings of the start to the Status. They stay, and do not degrade the team.
func (t *Team) AddStartNotes(ctx context.Context, texts ...string) error {
	_, err := t.post(ctx, request{in: StartNotes{texts}})
	return err
}

// SetRxMode sets what the adapter's stack wants to receive besides its own address. rx is borrowed for good.
func (t *Team) SetRxMode(ctx context.Context, rx spread.RxMode) error {
	_, err := t.post(ctx, request{in: AdapterRxMode{rx}})
	return err
}

// DatapathChanged reports which data path moves the frames, and why that one.
func (t *Team) DatapathChanged(ctx context.Context, name, reason string) error {
	_, err := t.post(ctx, request{in: DatapathChanged{Name: name, Reason: reason}})
	return err
}

// Config returns the configuration in force, with the present members.
func (t *Team) Config() settings.Config { return t.snapshot.Load().config }

// Record adds an event from outside the control loop: takeover, restored.
func (t *Team) Record(event, member, reason string) {
	e := api.Event{Schema: api.EventSchema, Time: time.Now(), Team: t.o.Config.Team, Event: event, Member: member,
		Reason: reason}
	t.events.add([]api.Event{e})
	t.logEvent(e)
}

// RecordDuration is Record of something that took a while.
func (t *Team) RecordDuration(event, member, reason string, took time.Duration) {
	e := api.Event{Schema: api.EventSchema, Time: time.Now(), Team: t.o.Config.Team, Event: event, Member: member,
		Reason: reason, Took: took.Nanoseconds()}
	t.events.add([]api.Event{e})
	t.logEvent(e)
}

// Events returns the last events (at most 1000) from since on, oldest first.
func (t *Team) Events(since time.Time) []api.Event { return t.events.sinceTime(since) }

// Follow delivers events until ctx ends, then closes the channel. A slow receiver loses events.
func (t *Team) Follow(ctx context.Context) <-chan api.Event {
	return t.events.follow(ctx, false, time.Time{})
}

// Replay delivers past events from since on, then follows, without loss or repetition between the two.
func (t *Team) Replay(ctx context.Context, since time.Time) <-chan api.Event {
	return t.events.follow(ctx, true, since)
}
