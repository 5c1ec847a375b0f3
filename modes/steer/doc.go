// SPDX-License-Identifier: MIT

// Package steer steers what a team receives: it tells each peer by ARP or neighbour discovery which member to send to,
// as receive load balancing of the bonding driver's balance-alb does. It is pure: no I/O, no goroutine, no clock.
//
// A peer sends to the MAC that its ARP or ND cache has for an address of ours. So each gets the MAC of one member: in
// answers to its requests, and in unsolicited notifications when its member changes. A binding is a peer and one of our
// addresses, that is, one entry of a peer's cache.
//
//	Transmit ┬ to one host → learn the binding → by its member, with its MAC
//	         └ to a group  → by the active member, with its MAC; bindings of the address are repaired soon after
//	Receive    an answer to a request of ours is a binding, too
//	Apply, Measure → move bindings → notify
//	Tick → the schedule → unicast notifications
//
// A binding is learnt from what our own stack sends or asked for, never from what others send unasked. So two teams
// that steer each other fall silent, and a forger moves only himself and those whom he could move without us.
package steer
