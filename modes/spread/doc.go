// SPDX-License-Identifier: MIT

// Package spread is what a data path executes: the Plan, and the rules by which it spreads frames over members. It
// knows no mode. It is pure: no I/O, no goroutine, no clock.
//
// The way of a frame that the adapter sends:
//
//	frame.Parse → Picker.Pick(plan) ┬ RuleSingle      the active member
//	                                ├ RuleSlots       Hash → Slot → plan.Slots, or its migration (migration.go)
//	                                ├ RuleRoundRobin  least bytes by weight (picker.go)
//	                                ├ RuleBroadcast   all distributing members
//	                                └ RuleShortest    Hash → flow table → the shortest queue (flowtable.go)
//	refused by the member → Other(plan, tried)
//
// What the control loop reads back: FlowTable and RxBytes. Capacity estimates what a member carries, a Rebalancer moves
// flows that never pause, Explain tells where a flow goes and why.
package spread
