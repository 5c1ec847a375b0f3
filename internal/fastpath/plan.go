// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"sync/atomic"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// applyPlan puts a Plan in force, with the members' NICs, and returns once no program follows the Plan before.
func (k *kernel) applyPlan(pl *spread.Plan, links *[spread.MaxMembers]*team.Link) error {
	next := 1 - k.control.Active
	all := entries(pl)
	k.plans[next] = newProgramPlan(pl, links, all)
	view, err := k.addresses.prepare(all)
	if err != nil {
		return err
	}
	if err := k.stations.add(pl.Stations); err != nil {
		return err
	}
	k.plans[next].View = view
	if !pl.Patient {
		k.plans[next].Device = k.devices
	}
	atomic.StoreUint32(&k.control.Active, next)
	k.waitForPrograms()
	return errors.Join(k.addresses.finish(view), k.stations.trim(pl.Stations, k.noteRecent))
}

// newProgramPlan returns a Plan as the programs read it; all are its entries.
func newProgramPlan(pl *spread.Plan, links *[spread.MaxMembers]*team.Link, all map[frame.MAC]entry) programPlan {
	p := programPlan{
		Adapter: uint64(pl.Adapter), Start: pl.Hash.Start(),
		Distributing: uint64(pl.Distributing), Targets: uint64(pl.FlowTargets()), Collecting: uint64(pl.Collecting),
		Multicast:        uint64(pl.Multicast),
		PacketsPerMember: uint32(pl.PacketsPerMember), Rule: uint8(pl.Rule), Hash: uint8(pl.Hash.Policy),
		Single: spread.NoMember, Least: uint8(max(0, min(pl.Least, spread.MaxMembers))),
		PerMember: boolByte(pl.PerMember), Promiscuous: boolByte(pl.Promiscuous), Weight: pl.Weights,
	}
	p.Plain = boolByte(isPlain(pl))
	if pl.Active >= 0 && pl.Active < spread.MaxMembers {
		p.Single = uint8(pl.Active)
	}
	for i := range p.Slots {
		p.Slots[i], p.StandIns[i] = spread.NoMember, spread.NoMember
	}
	copy(p.Slots[:], pl.Pins)
	if pl.Slots != nil {
		copy(p.Slots[:], pl.Slots.Members)
		copy(p.StandIns[:], pl.Slots.StandIns)
	}
	for i := range p.Successors {
		p.Successors[i] = spread.NoMember
	}
	copy(p.Successors[:], pl.Successors())
	if s := pl.Shortest; s != nil {
		p.Gain, p.Skew = int64(s.Gain), int64(s.Skew)
		p.Closed, p.Returning = s.Closed, uint64(pl.Returning()&pl.FlowTargets())
	}
	if m := pl.Migration(); m != nil {
		p.Migrating, p.Migration, p.Mark, p.Cleared, p.Skew = 1, m.ID, m.Mark, m.Cleared, int64(m.Pause)
		copy(p.From[:], m.From)
	}
	for id, l := range links {
		if l == nil {
			continue
		}
		p.Mac[id], p.Ifindex[id] = uint64(pl.MACs[id]), uint32(l.Index)
	}
	for m := range all {
		bit := uint64(m) * knownFactor >> 54
		p.Known[bit/64] |= 1 << (bit % 64)
	}
	for id, l := range links {
		if p.TakesOwn[id], p.TakesAdapter[id] = noMAC, noMAC; l == nil {
			continue
		}
		p.setTakes(id, pl, all)
		if pl.Distributing.Has(id) {
			p.Leaves[id] = uint32(l.Index)
		}
	}
	ids := pl.Distributing
	if pl.Rule == spread.RuleShortest {
		ids = pl.FlowTargets()
	}
	for left := ids; left != 0; left = left.Without(left.First()) {
		id, share := left.First(), pl.Weights[left.First()]
		if pl.Rule == spread.RuleRoundRobin {
			if share == 0 {
				continue
			}
			p.ByteCost[id] = spread.ShareCost(share)
			p.Total += uint64(share)
		}
		p.Ids[p.N] = uint8(id)
		p.N++
	}
	return p
}

// isPlain reports whether bpf/plain.h has the rule by which frames leave.
func isPlain(pl *spread.Plan) bool {
	switch pl.Rule {
	case spread.RuleSingle, spread.RuleRoundRobin:
		return true
	case spread.RuleSlots, spread.RuleShortest:
		return pl.Hash.Policy == spread.Layer34 && pl.Migration() == nil
	}
	return false
}

// setTakes sets which addresses a member accepts without another look. All others are looked up.
func (p *programPlan) setTakes(id int, pl *spread.Plan, all map[frame.MAC]entry) {
	if !pl.Collecting.Has(id) {
		return
	}
	own := pl.MACs[id]
	if all[own].kind != kindBehind {
		p.TakesOwn[id] = uint64(own)
	}
	if e := all[pl.Adapter]; e.kind != kindBehind && (own == pl.Adapter || e.acceptors.Has(id)) {
		p.TakesAdapter[id] = uint64(pl.Adapter)
	}
}

// noMAC is no address: these have 48 bits.
const noMAC = ^uint64(0)

// knownFactor spreads addresses over the bits of programPlan.Known.
const knownFactor = 0x9e3779b97f4a7c15

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
