// SPDX-License-Identifier: MIT

// Package tui is the live view of a team: nicteam watch on a terminal.
//
//	Source ──Status, History──→ Open ──→ Model ──Update──→ Model ──View──→ screen
//	       ──Rates, Events────→ follow ──messages──↗   ↖──keys, sizes
//
// [Model] is pure: messages in, state and what to ask next out; it reads no clock, no terminal and
// no socket, so all of it is tested without them. The screen shows columns of traffic (see window):
// the team's history, continued by its rates. [chart.Screen] draws them; this package chooses the colours.
//
// A view only reads and cannot affect the data path. It adds and removes NICs by the requests of the verbs, after a
// typed name and a yes.
package tui
