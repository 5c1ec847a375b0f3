package nfnl

import "slices"

// A firewall sees what comes by a member come by the adapter. Whether a rule then does something else is found by trying both:
// as it is for the member, as it will be for the adapter. So wildcards, sets, negations and indices need no list of forms, and a
// rule that has a twin for the adapter already is no trouble.

// Iface is a link as rules see it. An adapter that is not made yet will have an index that no other link has.
type Iface struct {
	Name  string
	Index uint32
	Group uint32
	Kind  string // rtnetlink's; "" for hardware
}

// Direction is which of the two interfaces of a packet is meant.
type Direction int

const (
	Incoming Direction = iota
	Outgoing
)

// Effect is what a rule does to packets of a face: two rules of one deed are the same to them.
type Effect struct {
	Chain string // where it stands
	Key   string // compared
	Text  string // shown
	Named bool   // the rule has the face's own name, so whoever made it knows of it
}

// DiffEffects are the rules that do something for one of two faces and not for the other: those that stop matching, then
// those that start to, but for those that are meant for the adapter.
func DiffEffects(member, adapter []Effect) (ends, begins []Effect) {
	begins = slices.DeleteFunc(EffectsWithout(adapter, member), func(d Effect) bool { return d.Named })
	return EffectsWithout(member, adapter), begins
}

// EffectsWithout are the deeds of list that have no like in other, each like for one.
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
