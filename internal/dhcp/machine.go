// SPDX-License-Identifier: MIT

package dhcp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nicteam/internal/frame"
)

// State is a state of the client (RFC 2131, figure 5).
type State uint8

// The states. There is no INIT: a client that begins to select has sent its DISCOVER.
const (
	Selecting  State = iota // DISCOVER sent
	Requesting              // REQUEST for an offer sent
	Rebooting               // REQUEST for the address of an earlier boot sent
	Checking                // ACK received; does another host have the address?
	Bound
	Renewing  // asks the server that granted the lease
	Rebinding // asks all servers
)

func (s State) String() string {
	return [...]string{"selecting", "requesting", "rebooting", "checking", "bound", "renewing",
		"rebinding"}[min(s, Rebinding)]
}

// Config of a Machine.
type Config struct {
	MAC      frame.MAC // the hardware address that the lease belongs to
	HostName string

	// ClientIDs are client identifiers (option 61 with its type), the most likely first; an empty one stands for none.
	// More than one: the lease is another client's, and it is not known which it used. Empty: MAC.
	ClientIDs [][]byte

	// Lease, if it has an address, is the lease that the host has at the start. Without a Server, all are asked.
	Lease Lease

	// Want, if valid, is the address to ask for. Remembered: a server granted it before.
	Want       netip.Addr
	Remembered bool

	Broadcast bool // answers to the hardware address do not reach the link
	Seed      uint64
}

// Input of a Machine; the zero value is a tick.
type Input struct {
	Message  *dhcpv4.DHCPv4
	Conflict bool // another host has the address that is checked
	LinkUp   bool // the link had no carrier for a while
}

// Output of a Machine.
type Output struct {
	Send  *dhcpv4.DHCPv4
	To    netip.Addr // zero: broadcast
	From  netip.Addr // zero: the host has no address
	Probe netip.Addr // ask for this address by ARP
	Lease *Lease     // granted or renewed: configure it
	Lost  *Lease     // refused or expired: remove it
	Why   string     // of Lost, and of what was refused
}

// Timing.
const (
	firstTimeout = 2 * time.Second // of an answer; doubled each time
	maxTimeout   = 64 * time.Second
	requestTries = 4
	probeCount   = 2
	probeGap     = 200 * time.Millisecond
	conflictWait = 10 * time.Second // RFC 2131, section 3.1: after DECLINE
	refusedWait  = time.Second      // after NAK
	maxRefused   = 5 * time.Minute
)

// Machine is the client's state machine. It is not safe for concurrent use.
type Machine struct {
	c     Config
	rand  *rand.Rand
	state State

	lease    Lease // zero: none
	deadline time.Time
	tries    int

	id      int  // of c.ClientIDs
	idKnown bool // a server accepted it
	refused int  // NAKs since the last ACK

	xid       dhcpv4.TransactionID
	began     time.Time  // of this exchange
	sent      time.Time  // its last request
	requested netip.Addr // the address in the request
	offeredBy netip.Addr
	candidate Lease // Checking
	probes    int
}

// NewMachine returns a Machine whose Deadline is now.
func NewMachine(now time.Time, c Config) *Machine {
	if len(c.ClientIDs) == 0 {
		c.ClientIDs = [][]byte{MACClientID(c.MAC)}
	}
	m := &Machine{c: c, rand: rand.New(rand.NewPCG(c.Seed, 0x6e6963)), lease: c.Lease, deadline: now,
		idKnown: len(c.ClientIDs) == 1}
	switch {
	case m.hasLease():
		m.state = Bound
		if !m.lease.Expires.IsZero() && !m.lease.Server.IsValid() {
			m.state = Rebinding
		}
	case c.Remembered && c.Want.IsValid():
		m.state = Rebooting
	}
	return m
}

// MACClientID is the identifier that most clients use: hardware type and MAC.
func MACClientID(mac frame.MAC) []byte {
	b := make([]byte, 7)
	b[0] = 1
	mac.Put(b, 1)
	return b
}

// State returns the state in which the Machine is.
func (m *Machine) State() State { return m.state }

// Lease returns the lease that is in use.
func (m *Machine) Lease() (Lease, bool) { return m.lease, m.hasLease() }

func (m *Machine) hasLease() bool { return m.lease.Address.IsValid() }

// Waiting reports whether an answer is awaited.
func (m *Machine) Waiting() bool { return m.state != Bound }

// Deadline is when Handle wants to be called next; zero: never.
func (m *Machine) Deadline() time.Time { return m.deadline }

// Renewed tells the Machine that another client has renewed the lease.
func (m *Machine) Renewed(now, expires time.Time) {
	if !m.hasLease() || m.lease.Expires.IsZero() || !expires.After(m.lease.Expires) {
		return
	}
	left := expires.Sub(now)
	m.lease.Expires, m.lease.Obtained = expires, now
	// Some time later than other clients.
	m.lease.Renew, m.lease.Rebind = now.Add(left/16*9), now.Add(left/8*7)
	if m.state >= Bound {
		m.state, m.tries, m.deadline = Bound, 0, m.lease.Renew
	}
}

// Handle advances the Machine.
func (m *Machine) Handle(now time.Time, in Input) (out Output) {
	switch {
	case in.Message != nil:
		m.receive(now, in.Message, &out)
		return out
	case in.Conflict:
		if m.state == Checking {
			m.decline(now, &out)
		}
		return out
	case in.LinkUp:
		// The host may be on another network, or the servers could not be reached when it was time to renew.
		if m.state == Bound && m.lease.Server.IsValid() && !m.lease.Expires.IsZero() {
			m.state, m.tries = Renewing, 0
		}
		if m.state != Bound && m.state != Checking {
			m.tries, m.deadline = 0, now
		}
	}
	if m.deadline.IsZero() || now.Before(m.deadline) {
		return out
	}
	m.timeout(now, &out)
	return out
}

// timeout does what is due.
func (m *Machine) timeout(now time.Time, out *Output) {
	if m.hasLease() && !m.lease.Expires.IsZero() && !now.Before(m.lease.Expires) {
		m.lose(now, "the lease expired", out)
	}
	switch m.state {
	case Checking:
		m.check(now, out)
		return
	case Bound:
		if m.lease.Expires.IsZero() {
			m.deadline = time.Time{}
			return
		}
		if now.Before(m.lease.Renew) {
			m.deadline = m.lease.Renew
			return
		}
		m.state, m.tries = Renewing, 0
	case Requesting, Rebooting:
		if m.tries >= requestTries {
			m.state, m.tries = Selecting, 0
		}
	}
	if m.state == Renewing && (!now.Before(m.lease.Rebind) || !m.lease.Server.IsValid()) {
		m.state, m.tries = Rebinding, 0
	}
	if m.tries > 0 && !m.idKnown {
		m.id = (m.id + 1) % len(m.c.ClientIDs) // a server does not answer a client that it does not know
	}
	m.send(now, out)
}

// send sends the message of the state and schedules the next one.
func (m *Machine) send(now time.Time, out *Output) {
	if m.tries == 0 && m.state != Requesting {
		m.xid, m.began = m.newXID(), now
	}
	m.sent = now
	kind := dhcpv4.MessageTypeRequest
	if m.state == Selecting {
		kind = dhcpv4.MessageTypeDiscover
	}
	msg := m.message(now, kind)
	switch m.state {
	case Selecting:
		m.requested = m.c.Want
		if m.requested.IsValid() {
			msg.UpdateOption(dhcpv4.OptRequestedIPAddress(m.requested.AsSlice()))
		}
	case Requesting:
		msg.UpdateOption(dhcpv4.OptRequestedIPAddress(m.requested.AsSlice()))
		msg.UpdateOption(dhcpv4.OptServerIdentifier(m.offeredBy.AsSlice()))
	case Rebooting:
		m.requested = m.c.Want
		msg.UpdateOption(dhcpv4.OptRequestedIPAddress(m.requested.AsSlice()))
	case Renewing, Rebinding:
		m.requested = m.lease.Address.Addr()
		msg.ClientIPAddr = m.requested.AsSlice()
		out.From = m.requested
		if m.state == Renewing {
			out.To = m.lease.Server
		}
	}
	out.Send = msg
	m.tries++
	m.deadline = m.nextTry(now)
}

// nextTry is when to send again. With a lease, half of the remaining time, as RFC 2131, section 4.4.5 has it, but more
// often if the lease is short.
func (m *Machine) nextTry(now time.Time) time.Time {
	switch m.state {
	case Renewing, Rebinding:
		end := m.lease.Rebind
		if m.state == Rebinding {
			end = m.lease.Expires
		}
		total := m.lease.Expires.Sub(m.lease.Obtained)
		wait := max(end.Sub(now)/2, min(total/32, time.Minute), time.Second)
		if !m.idKnown && m.tries < 2*len(m.c.ClientIDs) {
			wait = min(wait, firstTimeout)
		}
		next := now.Add(wait)
		if m.state == Renewing && next.After(m.lease.Rebind) {
			next = m.lease.Rebind
		}
		if next.After(m.lease.Expires) {
			next = m.lease.Expires
		}
		return next
	}
	wait := min(firstTimeout<<min(m.tries-1, 5), maxTimeout)
	return now.Add(wait*3/4 + time.Duration(m.rand.Int64N(int64(wait/2)))) // RFC 2131, section 4.1: randomised
}

func (m *Machine) newXID() (id dhcpv4.TransactionID) {
	v := m.rand.Uint32()
	return dhcpv4.TransactionID{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// clientID is the identifier in use, empty for none.
func (m *Machine) clientID() []byte { return m.c.ClientIDs[m.id] }

// lose gives the lease up.
func (m *Machine) lose(now time.Time, why string, out *Output) {
	was := m.lease
	out.Lost, out.Why = &was, why
	m.c.Want = was.Address.Addr()
	m.lease = Lease{}
	m.state, m.tries, m.deadline = Selecting, 0, now
}

// check sends the next ARP probe, or accepts the address.
func (m *Machine) check(now time.Time, out *Output) {
	if m.probes < probeCount {
		m.probes++
		out.Probe, m.deadline = m.candidate.Address.Addr(), now.Add(probeGap)
		return
	}
	m.bind(m.candidate, out)
}

// bind uses a lease.
func (m *Machine) bind(l Lease, out *Output) {
	if m.hasLease() && m.lease.Address != l.Address {
		was := m.lease
		out.Lost, out.Why = &was, "the server grants another address"
	}
	m.lease, m.state, m.tries, m.refused = l, Bound, 0, 0
	m.c.Want, m.c.Remembered = l.Address.Addr(), true
	m.deadline = l.Renew // zero: never
	out.Lease = &l
}

// decline tells the server that another host has the address.
func (m *Machine) decline(now time.Time, out *Output) {
	msg := m.message(now, dhcpv4.MessageTypeDecline)
	msg.Options.Del(dhcpv4.OptionParameterRequestList)
	msg.UpdateOption(dhcpv4.OptRequestedIPAddress(m.candidate.Address.Addr().AsSlice()))
	if m.candidate.Server.IsValid() {
		msg.UpdateOption(dhcpv4.OptServerIdentifier(m.candidate.Server.AsSlice()))
	}
	out.Send, out.Why = msg, "another host has "+m.candidate.Address.Addr().String()
	m.c.Want = netip.Addr{}
	m.state, m.tries, m.deadline = Selecting, 0, now.Add(conflictWait)
}

// message returns a message with what all have.
func (m *Machine) message(now time.Time, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	msg := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, ClientHWAddr: m.c.MAC.HardwareAddr(),
		TransactionID: m.xid, NumSeconds: uint16(min(now.Sub(m.began)/time.Second, 0xffff)),
		ClientIPAddr: zeroIP(), YourIPAddr: zeroIP(), ServerIPAddr: zeroIP(), GatewayIPAddr: zeroIP(),
		Options: dhcpv4.Options{}}
	if m.c.Broadcast && m.state <= Rebooting {
		msg.SetBroadcast()
	}
	msg.UpdateOption(dhcpv4.OptMessageType(kind))
	if id := m.clientID(); len(id) > 0 {
		msg.UpdateOption(dhcpv4.OptClientIdentifier(id))
	}
	if m.c.HostName != "" {
		msg.UpdateOption(dhcpv4.OptHostName(m.c.HostName))
	}
	msg.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	msg.UpdateOption(dhcpv4.OptParameterRequestList(dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute,
		dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
		dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue))
	return msg
}

// maxMessage is the longest message that the client accepts: one frame without the IP and UDP headers.
const maxMessage = 1472

func zeroIP() []byte { return make([]byte, 4) }

// known makes the identifier of the last request the one to use.
func (m *Machine) known() {
	if !m.idKnown {
		m.c.ClientIDs = [][]byte{slices.Clone(m.clientID())}
		m.id, m.idKnown = 0, true
	}
}
