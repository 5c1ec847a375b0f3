// SPDX-License-Identifier: MIT

// Package relay is the data path in user space: it moves frames between the adapter and the members
// as a spread.Plan says, and counts them. It implements team.Datapath. The way of a frame is told at
// the head of relay.go.
package relay
