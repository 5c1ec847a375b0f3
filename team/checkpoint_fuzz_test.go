// SPDX-License-Identifier: MIT

package team

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// planFault says what no data path could carry out in a Plan of a team with those members, "" for nothing.
func planFault(pl *spread.Plan, known spread.MemberSet) string {
	if bad := (pl.Distributing | pl.Collecting | pl.Multicast | pl.GroupMembers) &^ known; bad != 0 {
		return fmt.Sprintf("%b are no members", bad)
	}
	slots := func(what string, s []uint8, may spread.MemberSet) string {
		if len(s) != spread.SlotCount {
			return fmt.Sprintf("%d %s", len(s), what)
		}
		for _, id := range s {
			if id != spread.NoMember && (id >= spread.MaxMembers || !may.Has(int(id))) {
				return fmt.Sprintf("%s of member %d, which does not distribute", what, id)
			}
		}
		return ""
	}
	if pl.Slots != nil {
		if fault := slots("slots", pl.Slots.Members, pl.Distributing); fault != "" {
			return fault
		}
		if m := pl.Slots.Migration; m != nil {
			if fault := slots("slots before a migration", m.From, known); fault != "" {
				return fault
			}
			if m.ID == 0 || m.Mark == 0 {
				return "a migration without a number"
			}
		}
	}
	if pl.Pins != nil {
		if fault := slots("pins", pl.Pins, pl.Distributing); fault != "" {
			return fault
		}
	}
	if pl.Active < -1 || pl.Active >= spread.MaxMembers || pl.Next < -1 || pl.Next >= spread.MaxMembers ||
		pl.Rule == spread.RuleSingle && (pl.Active < 0 || !pl.Distributing.Has(pl.Active)) {
		return fmt.Sprintf("rule %d with member %d", pl.Rule, pl.Active)
	}
	for id, w := range pl.Weights {
		if w > spread.MaxShare || w > 0 && !known.Has(id) {
			return fmt.Sprintf("share %d of member %d", w, id)
		}
	}
	if pl.Shortest != nil {
		for _, m := range pl.Shortest.Moves {
			if m.Slot >= spread.FlowCount || m.To >= spread.MaxMembers {
				return fmt.Sprintf("move %+v", m)
			}
		}
	}
	return ""
}

// checkpointSeeds are documents of loops in every mode: two members that worked, and one that lost its link just now.
func checkpointSeeds(f testing.TB) (seeds [][]byte) {
	for _, mode := range []string{"elb", "802.3ad", "xor", "active-backup", "round-robin", "broadcast"} {
		r := newRig(f, nil)
		cfg := r.l.Config()
		kind, err := modes.ParseKind(mode)
		if err != nil {
			f.Fatal(err)
		}
		cfg.Mode, cfg.Members = kind, nil
		r.do(Change{Config: cfg})
		for n := 1; n <= 2; n++ {
			r.join(n)
			r.link(n, true)
		}
		r.do(FromDatapath{Control{Kind: ControlStation, Member: -1, Station: frame.StationOf(0x0200_0000_5001, 7)}})
		for _, lost := range []bool{false, true} {
			if lost {
				r.link(1, false)
			}
			c := r.l.Checkpoint(r.now)
			if elb := c.ModeState.ELB; elb != nil {
				elb.Steering = peersInCheckpoint(r.now)
			}
			b, err := json.Marshal(c)
			if err != nil {
				f.Fatal(err)
			}
			seeds = append(seeds, b)
		}
	}
	return seeds
}

func peersInCheckpoint(now time.Time) steer.Checkpoint {
	ours, peer := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	return steer.Checkpoint{On: true, Routers: map[uint16]bool{7: true}, Mean: 1e6,
		Bindings: []steer.BindingCheckpoint{{Ours: ours, MAC: 0x0200_0000_6001, To: peer, Shown: ours,
			Names: []netip.Addr{peer}, Since: now, Seen: now, Bps: 1e6, Weight: 1, NotifyAt: now, Busy: true}},
		Repairs:  []steer.RepairCheckpoint{{Ours: ours, MAC: 0x0200_0000_6001, At: now}},
		Requests: []steer.RequestCheckpoint{{Ours: ours, Peer: peer, At: now}}}
}

// FuzzCheckpoint: of a document that a loop accepts, every Plan can be carried out, and what the loop writes at any
// later moment resumes a next one, which writes the same again. Each three bytes of edits change a field.
func FuzzCheckpoint(f *testing.F) {
	seeds := checkpointSeeds(f)
	for i, b := range seeds {
		f.Add(b, []byte{})
		f.Add(b, []byte{0, byte(16 * i), byte(i)})
	}
	f.Fuzz(func(t *testing.T, b, edits []byte) {
		c := new(Checkpoint)
		if json.Unmarshal(b, c) != nil {
			return
		}
		for ; len(edits) >= 3; edits = edits[3:] {
			edit(c, int(edits[0])<<8|int(edits[1]), edits[2])
		}
		b, err := json.Marshal(c)
		if err != nil {
			return // no document has such a value
		}
		c = new(Checkpoint)
		if json.Unmarshal(b, c) != nil {
			return
		}
		resumeFuzzed(t, c)
	})
}

func resumeFuzzed(t *testing.T, c *Checkpoint) {
	cfg := activeBackup()
	cfg.Team, cfg.Balance = c.Team, c.Balance
	var err error
	if cfg.Mode, err = modes.ParseKind(c.Mode); err != nil {
		return
	}
	now := time.Unix(1_700_000_000, 0)
	c.Rebase(now)
	l, err := NewLoop(cfg, LoopOptions{Checkpoint: c})
	if err != nil {
		return
	}
	r := &rig{t: t, l: l, now: now, plan: l.plan}
	check := func(in Input) {
		t.Helper()
		if in != nil {
			r.do(in)
		}
		if fault := planFault(r.plan, r.l.takenIDs); fault != "" {
			t.Fatalf("after %T: %s", in, fault)
		}
	}
	check(nil)
	sameAgain(t, r)
	check(Tick{})
	for n := 1; n <= 2; n++ {
		for _, up := range []bool{false, true} {
			r.link(n, up)
			check(Tick{})
		}
	}
	sameAgain(t, r)
	for range 20 {
		if d := r.l.Deadline(); d.After(r.now) {
			r.now = d
		}
		check(Tick{})
	}
	sameAgain(t, r)
	r.l.Status()
}

// edit sets one of the fields in c, slices and maps to a value that choice stands for.
func edit(c *Checkpoint, field int, choice byte) {
	var sets []func()
	fields(reflect.ValueOf(c).Elem(), func(v reflect.Value, changed func()) {
		sets = append(sets, func() {
			setEdge(v, choice)
			changed()
		})
	})
	sets[field%len(sets)]()
}

// fields calls f for each field in v. changed must be called after a change.
func fields(v reflect.Value, f func(v reflect.Value, changed func())) {
	walkFields(v, func() {}, f)
}

func walkFields(v reflect.Value, changed func(), f func(v reflect.Value, changed func())) {
	switch v.Kind() {
	case reflect.Pointer:
		f(v, changed)
		if !v.IsNil() {
			walkFields(v.Elem(), changed, f)
		}
	case reflect.Struct:
		if v.Type() == timeType || v.Type() == reflect.TypeFor[netip.Addr]() {
			f(v, changed)
			return
		}
		for _, field := range v.Fields() {
			if field.CanSet() {
				walkFields(field, changed, f)
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice {
			f(v, changed)
		}
		for i := range min(v.Len(), 4) {
			walkFields(v.Index(i), changed, f)
		}
	case reflect.Map:
		f(v, changed)
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			walkFields(e, func() { v.SetMapIndex(k, e); changed() }, f)
		}
	default:
		f(v, changed)
	}
}

// edges are numbers at the bounds of what ids, MACs, counts and durations may be.
var edges = []int64{0, 1, -1, 2, 63, 64, 65, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 1 << 16, 1<<32 - 1, 1 << 47,
	1<<62 - 1, -1 << 62}

// setEdge sets v to a value that choice stands for.
func setEdge(v reflect.Value, choice byte) {
	n := edges[int(choice)%len(edges)]
	switch {
	case v.Type() == timeType:
		at := time.Unix(1_700_000_000, 0)
		v.Set(reflect.ValueOf([]time.Time{{}, at.Add(time.Hour), at.Add(-time.Hour), at}[choice%4]))
	case v.Type() == reflect.TypeFor[netip.Addr]():
		text := []string{"10.0.0.3", "0.0.0.0", "fd00::1", "::ffff:10.0.0.1", "224.0.0.1"}[choice%5]
		v.Set(reflect.ValueOf(netip.MustParseAddr(text)))
	case v.CanInt():
		v.SetInt(n)
	case v.CanUint():
		v.SetUint(uint64(n))
	case v.CanFloat():
		v.SetFloat(float64(n))
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString([]string{"", "eth1", "eth9", "up", "down", "degraded"}[choice%6])
	case v.Kind() == reflect.Slice && choice%3 == 0 && v.Len() > 0:
		v.Set(v.Slice(0, v.Len()-1))
	case v.Kind() == reflect.Slice && choice%3 == 1 && v.Len() > 0:
		v.Set(reflect.Append(v, v.Index(0)))
	case v.Kind() == reflect.Slice && choice%3 == 2:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case v.Kind() == reflect.Map && choice%2 == 0:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		k := reflect.New(v.Type().Key()).Elem()
		setEdge(k, choice/2)
		v.SetMapIndex(k, reflect.Zero(v.Type().Elem()))
	case v.Kind() == reflect.Pointer && v.IsNil():
		v.Set(reflect.New(v.Type().Elem()))
	default:
		v.SetZero()
	}
}

// sameAgain holds what the loop writes against what a loop writes that resumes from it.
func sameAgain(t *testing.T, r *rig) {
	t.Helper()
	document := func(l *Loop) []byte {
		t.Helper()
		c := l.Checkpoint(r.now)
		if c == nil {
			return nil
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wrote := document(r.l)
	if wrote == nil {
		return
	}
	read := new(Checkpoint)
	if err := json.Unmarshal(wrote, read); err != nil {
		t.Fatal(err)
	}
	read.Rebase(r.now)
	next, err := NewLoop(r.l.cfg, LoopOptions{Checkpoint: read})
	if err != nil {
		t.Fatalf("%v\n%s", err, wrote)
	}
	first := document(next)
	read = new(Checkpoint)
	if err := json.Unmarshal(first, read); err != nil {
		t.Fatal(err)
	}
	if next, err = NewLoop(r.l.cfg, LoopOptions{Checkpoint: read}); err != nil {
		t.Fatalf("%v\n%s", err, first)
	}
	if second := document(next); !bytes.Equal(first, second) {
		t.Fatalf("a process that took over wrote\n%s\nand the next one\n%s", first, second)
	}
}
