// SPDX-License-Identifier: MIT

// Package nic is a member's socket: a packet socket with virtio-net headers, read and written in batches.
//
// It passes super-frames and unfinished checksums on unchanged, puts VLAN tags that the kernel stripped back in, and
// bounds what waits in the NIC for transmission. All it changes on the NIC ends with the descriptor. The NIC's own MAC
// stays. Frames that packet sockets refuse are sent in a form that they accept: super-frames of tunnels (send.go), full
// frames with two tags (long.go).
//
// Follows net/packet/af_packet.c.
package nic
