// SPDX-License-Identifier: MIT

package team

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// nextProcess returns the loop of a process that takes over from that of l, nil if there is nothing to go on with. by
// is how much later its clock is.
func nextProcess(t failer, l *Loop, now time.Time, by time.Duration) *Loop {
	t.Helper()
	c := l.Checkpoint(now)
	if c == nil {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	read := new(Checkpoint)
	if err := json.Unmarshal(b, read); err != nil {
		t.Fatal(err)
	}
	read.Rebase(now.Add(by))
	next, err := NewLoop(l.cfg, LoopOptions{Adapter: 1, Salt: 1, Memory: l.lastMemory, Checkpoint: read,
		Datapath: l.datapath, DatapathReason: l.datapathReason})
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return next
}

// disturbed reports whether the next process has something to do at once: it ends drains and suspicions.
func disturbed(l *Loop, now time.Time) bool {
	for _, m := range l.members {
		if m.draining || m.reopening || m.watch.State == monitor.Suspect {
			return true
		}
	}
	d := l.watches.Deadline()
	return l.fdb.unpublished || !d.IsZero() && !now.Before(d)
}

// withoutAsks returns frames without those of link watches, which ask anew.
func withoutAsks(frames []spread.Send) []spread.Send {
	return slices.DeleteFunc(frames, func(s spread.Send) bool {
		var n frame.Neighbour
		var p frame.Probe
		return frame.ParseProbe(s.Frame, &p) || frame.ParseNeighbour(s.Frame, &n) && n.Op == frame.ARPRequest &&
			n.From.IsUnspecified()
	})
}

// samePlan compares Plans, of which nil and empty parts are the same.
func samePlan(a, b *spread.Plan) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}))
}

// restart replaces the loop by that of the next process, and holds it against the one that it replaces.
func (w *world) restart() {
	old := w.l
	next := nextProcess(w.t, old, w.now, 0)
	if next == nil {
		return
	}
	calm := !disturbed(old, w.now)
	if diff := samePlan(old.plan, next.plan); calm && diff != "" {
		w.t.Fatalf("the first Plan of the next process is another one (-old +new):\n%s", diff)
	}
	oldPlan := old.plan
	want := old.Handle(w.now, Tick{})
	if want.Plan == nil {
		want.Plan = oldPlan
	}
	again := modes.Tell(0) // what the next process may announce once more
	if w.now.Sub(next.toldAt) < toldSlack {
		again = next.told
	}
	w.l = next
	clear(w.draining)
	clear(w.leaving)
	got := w.do(Tick{})
	if !calm {
		return
	}
	if diff := samePlan(want.Plan, got.Plan); diff != "" {
		w.t.Fatalf("Plan after the next process's first Tick (-old +new):\n%s", diff)
	}
	if diff := cmp.Diff(withoutAsks(want.Send), withoutAsks(got.Send), cmpopts.EquateEmpty()); diff != "" ||
		got.Tell&^again != want.Tell&^again {
		w.t.Fatalf("the next process sends, and tells %b, want %b (-old +new):\n%s", got.Tell, want.Tell, diff)
	}
	if diff := cmp.Diff(want.Events, got.Events, cmpopts.EquateEmpty()); diff != "" {
		w.t.Fatalf("events of the next process (-old +new):\n%s", diff)
	}
	if got.Carrier != want.Carrier || got.Speed != want.Speed {
		w.t.Fatalf("carrier %v, speed %v, want %v, %v", got.Carrier, got.Speed, want.Carrier, want.Speed)
	}
	if diff := cmp.Diff(old.Status(), next.Status(), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(api.Member{}, "Watch")); diff != "" {
		w.t.Fatalf("status of the next process (-old +new):\n%s", diff)
	}
}

// TestRebaseMovesEveryTime fills every time of a Checkpoint.
func TestRebaseMovesEveryTime(t *testing.T) {
	base := time.Unix(1_700_000_000, 0)
	var c Checkpoint
	times := 0
	fill(reflect.ValueOf(&c).Elem(), func(v reflect.Value) {
		times++
		v.Set(reflect.ValueOf(base.Add(time.Duration(times) * time.Second)))
	})
	if times < 30 {
		t.Fatalf("%d times filled", times)
	}
	c.At = base
	later := base.Add(42 * time.Minute)
	c.Rebase(later)
	if !c.At.Equal(later) {
		t.Errorf("at %v, want %v", c.At, later)
	}
	fill(reflect.ValueOf(&c).Elem(), func(v reflect.Value) {
		if at := v.Interface().(time.Time); at.Before(later) || at.After(later.Add(time.Duration(times)*time.Second)) {
			t.Errorf("%v was not moved", at)
		}
	})
	c = Checkpoint{At: base, Since: base.Add(1000 * time.Hour)}
	if c.Rebase(base); c.Since.Sub(base) != maxAhead {
		t.Errorf("due in %v", c.Since.Sub(base))
	}
}

// fill calls f for each time in v, in slices and maps of one element each.
func fill(v reflect.Value, f func(reflect.Value)) {
	switch {
	case v.Type() == timeType:
		f(v)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), f)
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				fill(field, f)
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		fill(v.Index(0), f)
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			fill(v.Index(i), f)
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		if v.Len() == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		}
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			fill(e, f)
			v.SetMapIndex(k, e)
		}
	}
}

// A Checkpoint of another team, mode or version, or one that no loop can have written, is refused.
func TestCheckpointRefused(t *testing.T) {
	r := newRig(t, nil)
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	cfg := r.l.cfg
	if _, err := NewLoop(cfg, LoopOptions{Checkpoint: r.l.Checkpoint(r.now)}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Checkpoint){
		"version":        func(c *Checkpoint) { c.Schema = "nicteam.checkpoint/v0" },
		"team":           func(c *Checkpoint) { c.Team = "team9" },
		"mode":           func(c *Checkpoint) { c.Mode = "xor" },
		"balance":        func(c *Checkpoint) { c.Balance = false },
		"state":          func(c *Checkpoint) { c.State = "fine" },
		"mode's state":   func(c *Checkpoint) { c.ModeState = nil },
		"active":         func(c *Checkpoint) { c.ModeState.Single.Active = 5 },
		"id":             func(c *Checkpoint) { c.Members[1].ID = spread.MaxMembers },
		"ids":            func(c *Checkpoint) { c.Members[1].ID = c.Members[0].ID },
		"names":          func(c *Checkpoint) { c.Members[1].Link.Name = c.Members[0].Link.Name },
		"weight":         func(c *Checkpoint) { c.Members[1].Weight = -1 },
		"stations":       func(c *Checkpoint) { c.Stations = make([]frame.Station, maxStations+1) },
		"no time":        func(c *Checkpoint) { c.At = time.Time{} },
		"filter's owner": func(c *Checkpoint) { c.ModeState.Single.Filters = map[int][]frame.MAC{64: nil} },
	} {
		c := r.l.Checkpoint(r.now)
		spoil(c)
		if _, err := NewLoop(cfg, LoopOptions{Checkpoint: c}); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	r.do(End{})
	if r.l.Checkpoint(r.now) != nil {
		t.Error("a team that has ended leaves a Checkpoint")
	}
}

// A table of slots that no migration makes is refused: its Plan would send by a member that does not distribute.
func TestSlotsCheckpointRefused(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	if r.plan.Migration() == nil {
		t.Fatal("no migration after a join")
	}
	for name, spoil := range map[string]func(*modes.SlotsCheckpoint){
		"":                        func(*modes.SlotsCheckpoint) {},
		"member without a share":  func(k *modes.SlotsCheckpoint) { k.Shares[1] = 0 },
		"no number":               func(k *modes.SlotsCheckpoint) { k.ID = 0 },
		"number before overflow":  func(k *modes.SlotsCheckpoint) { k.ID = 1<<64 - 1 },
		"mark before overflow":    func(k *modes.SlotsCheckpoint) { k.Mark = 1<<32 - 2 },
		"cleared before its mark": func(k *modes.SlotsCheckpoint) { k.Cleared[0] = k.Mark + 1 },
		"marker before its mark":  func(k *modes.SlotsCheckpoint) { k.Markers[0] = k.Mark + 1 },
	} {
		c := r.l.Checkpoint(r.now)
		spoil(c.ModeState.Slots)
		if _, err := NewLoop(r.l.cfg, LoopOptions{Checkpoint: c}); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An announcement that the process before may not have finished is repeated, an older one is not.
func TestAnnouncementGoesOn(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		again bool
	}{{20 * time.Millisecond, true}, {time.Second, false}} {
		r := newRig(t, nil)
		for n := 1; n <= 2; n++ {
			r.join(n)
			r.link(n, true)
		}
		r.run(time.Minute)
		if out := r.link(1, false); out.Tell == 0 {
			t.Fatal("a failover announces nothing")
		}
		r.now = r.now.Add(c.after)
		next := nextProcess(t, r.l, r.now, 0)
		if out := next.Handle(r.now, Tick{}); (out.Tell != 0) != c.again || c.again && len(out.Via) == 0 {
			t.Errorf("%v after a failover the next process announces %b by %v", c.after, out.Tell, out.Via)
		}
	}
}
