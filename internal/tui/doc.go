// SPDX-License-Identifier: MIT

// Package tui is the live view of a team: nicteam watch on a terminal.
//
//	Source ──Status, History──→ Open ──→ Model ──Update──→ Model ──View──→ screen
//	       ──Rates, Events────→ follow ──messages──↗   ↖──keys, sizes
//
// [Model] is pure: messages in, state and what to ask next out; it reads no clock, no terminal and
// no socket, so all of it is tested without them. What is shown are columns of traffic (see block)
// that begin with the team's own history and go on with its rates; [chart.Screen] draws them, and
// only the colours are chosen here.
//
// A view only reads. Nothing that it does or leaves undone reaches the data path; NICs are added
// and removed by the same requests that the verbs make, and only after a typed name and a yes.
package tui
