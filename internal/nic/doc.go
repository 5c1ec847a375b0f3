// Package nic is a member's socket: a packet socket with virtio-net headers, read and written in batches.
//
// It carries super-frames and unfinished checksums as they are, puts VLAN tags that the kernel took out
// back in, bounds what waits in the NIC for transmission, and changes nothing on the NIC that does not
// undo itself when the descriptor closes: no address, no flag. The NIC's own MAC stays. What packet sockets do not
// take is sent as what they do: super-frames of tunnels (send.go), full frames with two tags (long.go).
//
// Follows net/packet/af_packet.c.
package nic
