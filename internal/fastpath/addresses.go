package fastpath

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// addresses are the MACs that a Plan speaks of. There are two tables of them, one of them in force, as there are two Plans: they
// change at one instant. Both lie in one map, told apart by the highest octet of the key.
type addresses struct {
	of    *ebpf.Map
	table uint8               // in force
	has   map[frame.MAC]entry // what is in it
	next  map[frame.MAC]entry // what is in the other one, to come into force
}

// entry is what a Plan says of a MAC.
type entry struct {
	takers modes.MemberSet // that take in what is for it
	kind   uint32
}

// The kinds of entries. One that some member takes in and that is neither has none.
const (
	kindOwn    = 1
	kindBehind = 2
)

// tableShift is where a key says of which table it is.
const tableShift = 56

func addressKey(table uint8, m frame.MAC) uint64 { return uint64(m) | uint64(table)<<tableShift }

// entries are all MACs that a Plan speaks of.
func entries(pl *modes.Plan) map[frame.MAC]entry {
	all := make(map[frame.MAC]entry, len(pl.Own)+len(pl.Behind))
	for _, m := range pl.Own {
		all[m] = entry{kind: kindOwn}
	}
	for _, m := range pl.Behind {
		all[m] = entry{kind: kindBehind}
	}
	for id, macs := range pl.Filter {
		for _, m := range macs {
			e := all[m]
			e.takers = e.takers.With(id)
			all[m] = e
		}
	}
	return all
}

// prepare fills the other table for a Plan, and says which is to be in force: the same where nothing is different.
func (a *addresses) prepare(pl *modes.Plan) (table uint8, err error) {
	all := entries(pl)
	if maps.Equal(all, a.has) {
		return a.table, nil
	}
	if err := a.clear(1-a.table, a.next); err != nil {
		return 0, err
	}
	a.next = all
	for m, e := range all {
		v := programAddress{Takers: uint64(e.takers), Kind: e.kind}
		if a.has[m].kind == e.kind {
			v.Sent = a.sent(m)
		}
		if err := a.of.Put(addressKey(1-a.table, m), v); err != nil {
			return 0, fmt.Errorf("note address %v: %w", m, err)
		}
	}
	return 1 - a.table, nil
}

// trim forgets the table that was in force before.
func (a *addresses) trim(table uint8) error {
	if table == a.table {
		return nil
	}
	old, was := a.table, a.has
	a.table, a.has, a.next = table, a.next, was
	if err := a.clear(old, was); err != nil {
		return err
	}
	a.next = nil
	return nil
}

func (a *addresses) clear(table uint8, all map[frame.MAC]entry) error {
	for m := range all {
		if err := a.of.Delete(addressKey(table, m)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forget address %v: %w", m, err)
		}
	}
	return nil
}

// sent is when the adapter last sent from m, which lives behind it, in ns of CLOCK_MONOTONIC; 0 never.
func (a *addresses) sent(m frame.MAC) uint64 {
	var v programAddress
	if a.of.Lookup(addressKey(a.table, m), &v) != nil {
		return 0
	}
	return v.Sent
}
