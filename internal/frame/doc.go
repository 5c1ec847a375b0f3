// Package frame reads and builds Ethernet frames. It is a leaf: everything that touches the
// bytes of a frame uses it, and it uses nothing of ours.
//
// Parse finds the headers of a frame once; what follows (counting, hashing, accepting) reads
// the result. The virtio header in front of a super-frame (struct virtio_net_hdr, virtio 1.2
// clause 5.1.6, in its legacy little-endian layout of 10 octets that TUN and AF_PACKET use)
// is Vnet; Segment does in software what a NIC without TSO or USO cannot. The rest builds the
// frames by which a team makes itself known: ARP, neighbour advertisements, group reports,
// and RARP for switches.
//
// Nothing here panics on any input, and nothing on the way of a frame allocates.
package frame
