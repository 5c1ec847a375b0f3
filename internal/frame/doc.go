// SPDX-License-Identifier: MIT

// Package frame reads and builds Ethernet frames. It is a leaf: all code that touches the bytes of a frame uses it, and
// it imports no other package of this module.
//
// Parse finds the headers of a frame once; counting, hashing and accepting read the result. Vnet is the virtio header
// in front of a super-frame (struct virtio_net_hdr, virtio 1.2 clause 5.1.6, in the legacy little-endian layout of 10
// octets that TUN and AF_PACKET use). Segment is GSO in software, for NICs without TSO or USO. The rest builds the
// frames that announce a team: ARP, neighbour advertisements, group reports, and RARP for switches.
//
// Nothing here panics on any input, and nothing that the data path calls for each frame allocates.
package frame
