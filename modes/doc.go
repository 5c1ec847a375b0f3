// Package modes decides how a team's frames are spread. It is pure: no I/O, no goroutine, no
// clock, so every decision can be tested without a network.
//
// A Mode takes in State and time and gives a Plan, the immutable table that a data path
// executes. The way of a frame that the adapter sends:
//
//	frame.Parse → Picker.Pick(plan) ┬ SpreadSingle      the active member
//	                                ├ SpreadSlots       Hash → Slot → plan.Slots, or plan.From for a while (slots_moving.go)
//	                                ├ SpreadRoundRobin  least bytes by weight
//	                                ├ SpreadBroadcast   all distributing members
//	                                └ SpreadShortest    Hash → flow table → the shortest queue (flows.go)
//	refused by the member → Other(plan, tried)
//
// The way of an event through a Mode:
//
//	State → usable members (link watches, drains) → MinMembers → the mode's rule → Plan, Effects
//	Tick  → the rule's own times (active-backup: the end of an overlap; slots: the end of their going over, transition.go)
//	Received → 802.3ad: the protocol in lacp, whose state becomes a Plan (aggregation.go)
package modes
