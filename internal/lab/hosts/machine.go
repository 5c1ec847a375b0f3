// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"
)

// A machine is the host under test, and nics are its NICs.
type machine interface {
	// Start switches the machine on and returns when its agent answers.
	Start(ctx context.Context) error
	// Stop switches it off at once.
	Stop()
	// Run runs a command by the agent, which needs no network.
	Run(ctx context.Context, command string, limit time.Duration) (out string, code int, err error)
	// Put writes a file by the agent.
	Put(ctx context.Context, path string, data []byte, mode uint32) error
	// SetLink plugs the cable of a NIC in or pulls it out.
	SetLink(ctx context.Context, nic int, in bool) error
	// Reboot is an orderly one; it returns when the agent answers again.
	Reboot(ctx context.Context) error
	// Cut cuts the power, which loses what is not on the disk, and switches on again.
	Cut(ctx context.Context) error
}

// A network is what the machine is connected to: a router with DHCP, router advertisements and DNS.
type network interface {
	// Ping pings an address until stop is called, which returns the times of the answers.
	Ping(address string) (stop func() []time.Time, err error)
	// Login runs a command in a login session over the network.
	Login(ctx context.Context, address, command string, limit time.Duration) (out string, code int, err error)
	// Session opens a login session that echoes a line each sessionInterval, and returns when it does. stop returns
	// the times of the answers, and whether it lived to the end. It is an error if nobody answers.
	Session(address string) (stop func() (answers []time.Time, alive bool), err error)
	// Acknowledged returns when the DHCP server acknowledged a lease of the address since it was asked last.
	Acknowledged(address string) []time.Time
}

// pingInterval and sessionInterval are those of network.Ping and network.Session.
const (
	pingInterval    = 200 * time.Millisecond
	sessionInterval = time.Second
)

// What the router has.
const (
	outside4    = "192.0.2.1" // an address behind the default route
	outside6    = "2001:db8:1::1"
	router4     = "10.77.0.1"
	router6     = "fd77::1"
	probeDomain = "probe.test" // each name in it resolves
	leaseTime   = 120 * time.Second
	renewalTime = 20 * time.Second // T1
)

// nicCount is the number of NICs, eth0 first.
const nicCount = 2

// mac is a NIC's MAC, lease the address that the DHCP server keeps for it.
func mac(nic int) string   { return "52:54:00:77:00:1" + string(rune('0'+nic)) }
func lease(nic int) string { return "10.77.0.1" + string(rune('0'+nic)) }
