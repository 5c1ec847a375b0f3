// SPDX-License-Identifier: MIT

// Package agent is how the driver of make test-hosts speaks with a guest when the network does not: lines of JSON over
// a virtio port. serve.go is the guest's side, client.go the driver's.
package agent

// Port is the name of the agent's virtio port.
const Port = "nicteam.agent"
