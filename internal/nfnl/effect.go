// SPDX-License-Identifier: MIT

package nfnl

import "slices"

// To a firewall, what members receive comes in by the adapter. Whether that changes what a rule does is found by
// evaluating the rule twice: for the member and for the adapter. So wildcards, sets, negations and ifindexes need no
// cases of their own, and a rule that exists for both interfaces is no difference.

// Iface is an interface as rules see it. An adapter that does not exist yet has an ifindex that no link has.
type Iface struct {
	Name  string
	Index uint32
	Group uint32
	Kind  string // rtnetlink's; "" for hardware
}

// Direction selects the input or the output interface of a packet.
type Direction int

const (
	Incoming Direction = iota
	Outgoing
)

// Effect is what a rule does to packets of an interface. Rules with equal Chain and Key do the same.
type Effect struct {
	Chain string // where the rule is
	Key   string // what is compared
	Text  string // what is shown
	Named bool   // the rule has the interface's exact name, so its author knows of it
}

// DiffEffects returns the rules that stop matching when traffic moves from member to adapter, and those that start to,
// except rules that name the adapter.
func DiffEffects(member, adapter []Effect) (ends, begins []Effect) {
	begins = slices.DeleteFunc(EffectsWithout(adapter, member), func(d Effect) bool { return d.Named })
	return EffectsWithout(member, adapter), begins
}

// EffectsWithout returns the effects of list that other lacks. Each effect of other cancels one.
func EffectsWithout(list, other []Effect) (rest []Effect) {
	left := map[[2]string]int{}
	for _, d := range other {
		left[[2]string{d.Chain, d.Key}]++
	}
	for _, d := range list {
		if k := [2]string{d.Chain, d.Key}; left[k] > 0 {
			left[k]--
			continue
		}
		rest = append(rest, d)
	}
	return rest
}
