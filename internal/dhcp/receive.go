// SPDX-License-Identifier: MIT

package dhcp

import (
	"bytes"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// receive handles a server's answer.
func (m *Machine) receive(now time.Time, msg *dhcpv4.DHCPv4, out *Output) {
	if msg.OpCode != dhcpv4.OpcodeBootReply || msg.TransactionID != m.xid || m.sent.IsZero() ||
		!bytes.Equal(msg.ClientHWAddr, m.c.MAC.HardwareAddr()) {
		return
	}
	switch msg.MessageType() {
	case dhcpv4.MessageTypeOffer:
		m.offered(now, msg, out)
	case dhcpv4.MessageTypeAck:
		m.acknowledged(now, msg, out)
	case dhcpv4.MessageTypeNak:
		m.refuse(now, msg, out)
	}
}

// offered requests the first offer.
func (m *Machine) offered(now time.Time, msg *dhcpv4.DHCPv4, out *Output) {
	ip, ok := unicast(msg.YourIPAddr)
	server, known := unicast(msg.ServerIdentifier())
	if m.state != Selecting || m.tries == 0 || !ok || !known {
		return
	}
	m.state, m.tries = Requesting, 0
	m.requested, m.offeredBy = ip, server
	m.send(now, out)
}

// acknowledged uses a lease that was granted or renewed.
func (m *Machine) acknowledged(now time.Time, msg *dhcpv4.DHCPv4, out *Output) {
	if m.state == Selecting || m.state == Checking || m.state == Bound {
		return
	}
	l, err := leaseOf(msg, m.sent)
	if err != nil || l.Address.Addr() != m.requested {
		return // whoever else it is for
	}
	if m.state == Requesting && !l.Server.IsValid() {
		l.Server = m.offeredBy
	}
	m.known()
	l.ClientID = m.clientID()
	if m.hasLease() && m.lease.Address.Addr() == l.Address.Addr() {
		l.Address = m.lease.Address // the host has it already, whatever the mask
		m.bind(l, out)
		return
	}
	m.candidate, m.state, m.probes, m.deadline = l, Checking, 0, now
	m.check(now, out)
}

// refuse handles a NAK.
func (m *Machine) refuse(now time.Time, msg *dhcpv4.DHCPv4, out *Output) {
	if m.state == Selecting || m.state == Checking || m.state == Bound {
		return
	}
	out.Why = "the server refuses"
	if why := printable(msg.Message()); why != "" {
		out.Why += ": " + why
	}
	if !m.idKnown {
		// It may know the client by another identifier.
		if m.id++; m.id < len(m.c.ClientIDs) {
			m.tries, out.Why = 0, ""
			m.send(now, out)
			return
		}
		m.id = 0
		if m.hasLease() { // whoever got it may still renew it
			m.refused++
			m.tries, m.deadline = 0, now.Add(m.refusedWait())
			if m.lease.Expires.Before(m.deadline) {
				m.deadline = m.lease.Expires
			}
			return
		}
	}
	m.refused++
	if m.hasLease() {
		m.lose(now, out.Why, out)
	}
	m.state, m.tries, m.deadline = Selecting, 0, now.Add(m.refusedWait())
}

// refusedWait grows, so that a server that refuses everything is not asked all the time.
func (m *Machine) refusedWait() time.Duration {
	return min(refusedWait<<min(m.refused-1, 10), maxRefused)
}

// printable returns a server's text as it may stand in a log.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			b[i] = '.'
		}
	}
	return string(b[:min(len(b), 80)])
}
