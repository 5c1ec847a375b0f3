// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// addresses is the map of the MACs that a Plan has. Each entry has two views, one for each of the two plans in shared
// memory, so that all entries change at one moment. Between two changes both views are equal, so that a change writes
// only the differences.
type addresses struct {
	table   *ebpf.Map
	view    uint8               // in force
	current map[frame.MAC]entry // the entries of that view
	next    map[frame.MAC]entry // the entries of the other view, which comes into force
}

// entry is a Plan's entry of a MAC.
type entry struct {
	acceptors spread.MemberSet // members that accept frames to it
	kind      uint32
}

// The kinds of entries; 0: neither, but some member accepts it.
const (
	kindOwn    = 1
	kindBehind = 2
)

// entries returns the MACs that a Plan has.
func entries(pl *spread.Plan) map[frame.MAC]entry {
	all := make(map[frame.MAC]entry, len(pl.TeamMACs)+len(pl.Behind))
	for _, m := range pl.TeamMACs {
		all[m] = entry{kind: kindOwn}
	}
	for _, m := range pl.Behind {
		all[m] = entry{kind: kindBehind}
	}
	for id, macs := range pl.Filter {
		for _, m := range macs {
			e := all[m]
			e.acceptors = e.acceptors.With(id)
			all[m] = e
		}
	}
	return all
}

// adopt takes the table of the process before, of which a view is in force. That process may have ended in the middle
// of a change: the other view becomes equal.
func (a *addresses) adopt(view uint8) error {
	a.view, a.current = view, map[frame.MAC]entry{}
	unequal := map[frame.MAC]entry{}
	var m uint64
	var v programAddress
	all := a.table.Iterate()
	for all.Next(&m, &v) {
		e := entry{acceptors: spread.MemberSet(v.Views[view].Acceptors), kind: v.Views[view].Kind}
		if e != (entry{}) {
			a.current[frame.MAC(m)] = e
		}
		if v.Views[0] != v.Views[1] || e == (entry{}) {
			unequal[frame.MAC(m)] = e
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read addresses: %w", err)
	}
	for m, e := range unequal {
		if err := a.writeEntry(1-view, m, e); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes the entries to the other view and returns the view to put in force, the present one if nothing
// differs.
func (a *addresses) prepare(all map[frame.MAC]entry) (view uint8, err error) {
	if maps.Equal(all, a.current) {
		return a.view, nil
	}
	a.next = all
	return 1 - a.view, a.write(1 - a.view)
}

// finish makes the view that was in force before equal to the one in force.
func (a *addresses) finish(view uint8) error {
	if view == a.view {
		return nil
	}
	if err := a.write(a.view); err != nil {
		return err
	}
	a.view, a.current, a.next = view, a.next, nil
	return nil
}

// write changes a view from has to next.
func (a *addresses) write(view uint8) error {
	for m, e := range a.next {
		if a.current[m] != e {
			if err := a.writeEntry(view, m, e); err != nil {
				return err
			}
		}
	}
	for m := range a.current {
		if _, stays := a.next[m]; !stays {
			if err := a.writeEntry(view, m, entry{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeEntry changes a view's entry of a MAC. It deletes the MAC if both views are empty.
func (a *addresses) writeEntry(view uint8, m frame.MAC, e entry) error {
	var v programAddress
	if err := a.table.Lookup(uint64(m), &v); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("look up address %v: %w", m, err)
	}
	v.Views[view].Acceptors, v.Views[view].Kind = uint64(e.acceptors), e.kind
	err := error(nil)
	if v.Views == (programAddress{}).Views {
		if err = a.table.Delete(uint64(m)); errors.Is(err, ebpf.ErrKeyNotExist) {
			err = nil
		}
	} else {
		err = a.table.Put(uint64(m), v)
	}
	if err != nil {
		return fmt.Errorf("note address %v: %w", m, err)
	}
	return nil
}
