// SPDX-License-Identifier: MIT

// Package tap is a team's adapter: a persistent TAP whose queue carries virtio-net headers, so that super-frames and
// unfinished checksums pass unchanged between the kernel and the relay.
//
// songgao/water creates the device and sets its owner and persistence. It does not know virtio headers, so its
// descriptor is closed and the queue opened here with IFF_VNET_HDR, before another process can. device.go creates it in
// a network namespace of its own, so that it appears with its final address.
// The device keeps its ifindex, addresses and routes, even through a crash of the process: Open opens it again.
//
// Follows drivers/net/tun.c. The kernel's behaviour that the code relies on has tests.
package tap
