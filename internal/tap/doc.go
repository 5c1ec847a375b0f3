// Package tap is a team's adapter: a persistent TAP whose queue carries virtio-net headers, so that
// super-frames and unfinished checksums pass between the kernel and the relay as they are.
//
// songgao/water makes the device and sets its owner and persistence; it knows no virtio header, so its
// descriptor is closed again and the queue is opened here, with IFF_VNET_HDR, before anybody else can.
// It is made out of sight, see device.go, so that it appears with the address that it is to have.
// The device keeps its ifindex, addresses and routes through that, and through a crash of the process:
// Open takes such a device up again.
//
// Follows drivers/net/tun.c. Facts that the code stands on have tests.
package tap
