// SPDX-License-Identifier: MIT

// Package tui is the live view of a team: nicteam watch on a terminal.
//
//	Source ──Status, History──→ Open ──→ Model ──Update──→ Model ──View──→ screen
//	       ──Rates, Events────→ follow ──messages──↗   ↖──keys, sizes
//
// [Model] is pure: messages in, state and commands out. It reads no clock, terminal or socket, and is tested without
// them. The screen shows columns of traffic (see window): the team's history, continued by its rates. [chart.Screen]
// draws them; this package chooses the colours.
//
// The view reads, and cannot slow the data path. It adds and removes NICs with the requests of nicteam add and remove,
// after a choice from a list or a typed name, and a confirmation.
//
// [Pick] is that list by itself, for nicteam create: list, plan, and back. It is as pure, and changes nothing.
package tui
