// SPDX-License-Identifier: MIT

package dhcp

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nicteam/internal/frame"
)

const testMAC frame.MAC = 0x020000000001

var (
	serverIP = netip.MustParseAddr("10.9.0.254")
	leaseIP  = netip.MustParseAddr("10.9.0.50")
)

// fakeServer is a Link to a DHCP server with one address.
type fakeServer struct {
	length   time.Duration
	clientID string // of the lease; "" any
	ip       netip.Addr
	delay    time.Duration
	silent   bool       // answers nothing
	deaf     bool       // unicast does not reach it
	taken    netip.Addr // another host has it

	mu       sync.Mutex
	open     bool
	said     []string // what it heard, such as "REQUEST renewing"
	at       []time.Duration
	began    time.Time
	received chan Event
}

func newFakeServer(length time.Duration) *fakeServer {
	return &fakeServer{length: length, ip: leaseIP, received: make(chan Event, 16), began: time.Now()}
}

func (f *fakeServer) Open() error            { f.change(func() { f.open = true }); return nil }
func (f *fakeServer) Close()                 { f.change(func() { f.open = false }) }
func (f *fakeServer) Received() <-chan Event { return f.received }

func (f *fakeServer) Probe(ip netip.Addr) error {
	f.note("PROBE")
	f.mu.Lock()
	defer f.mu.Unlock()
	if ip == f.taken {
		f.deliver(Event{Conflict: ip})
	}
	return nil
}

func (f *fakeServer) note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said, f.at = append(f.said, text), append(f.at, time.Since(f.began))
}

func (f *fakeServer) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.said...)
}

func (f *fakeServer) deliver(e Event) {
	delay := f.delay
	go func() {
		time.Sleep(delay)
		f.received <- e
	}()
}

// change changes how the server behaves.
func (f *fakeServer) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// Send answers as a server that knows one lease.
func (f *fakeServer) Send(b []byte, from, to netip.Addr) error {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return err
	}
	kind := m.MessageType().String()
	switch {
	case m.MessageType() != dhcpv4.MessageTypeRequest:
	case to.IsValid():
		kind += " renewing"
	case from.IsValid():
		kind += " rebinding"
	case m.ServerIdentifier() == nil:
		kind += " rebooting"
	}
	f.note(kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent || f.deaf && to.IsValid() {
		return nil
	}
	answer := dhcpv4.MessageTypeAck
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		answer = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		asked := m.RequestedIPAddress()
		if !m.ClientIPAddr.IsUnspecified() {
			asked = m.ClientIPAddr
		}
		if !net.IP(f.ip.AsSlice()).Equal(asked) {
			answer = dhcpv4.MessageTypeNak
		}
	default:
		return nil
	}
	if f.clientID != "" && string(m.GetOneOption(dhcpv4.OptionClientIdentifier)) != f.clientID {
		answer = dhcpv4.MessageTypeNak
	}
	f.deliver(Event{Message: f.answer(m, answer).ToBytes()})
	return nil
}

func (f *fakeServer) answer(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(serverIP.AsSlice()))
	if err != nil {
		panic(err)
	}
	r.UpdateOption(dhcpv4.OptServerIdentifier(serverIP.AsSlice()))
	if kind != dhcpv4.MessageTypeNak {
		r.YourIPAddr = f.ip.AsSlice()
		r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(f.length))
		r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		r.UpdateOption(dhcpv4.OptRouter(serverIP.AsSlice()))
		r.UpdateOption(dhcpv4.OptDNS(serverIP.AsSlice()))
	}
	return r
}

// testHost is what a Client configures.
type testHost struct {
	*Client
	server *fakeServer

	mu      sync.Mutex
	address netip.Prefix
	expires time.Time
	lost    []string
}

// runClient runs a client of that server until the test ends.
func runClient(t *testing.T, f *fakeServer, c Config) *testHost {
	c.MAC = testMAC
	h := &testHost{server: f, address: c.Lease.Address, expires: c.Lease.Expires}
	h.Client = New(NewMachine(time.Now(), c), Options{Link: f, Now: time.Now,
		Apply: func(l Lease) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.address, h.expires = l.Address, l.Expires
			return nil
		},
		Lost: func(_ Lease, why string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.address, h.lost = netip.Prefix{}, append(h.lost, why)
		}})
	done := make(chan struct{})
	go func() {
		h.Run(t.Context())
		close(done)
	}()
	return h
}

func (h *testHost) want(t *testing.T, address string, what string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	got := ""
	if h.address.IsValid() {
		got = h.address.String()
	}
	if got != address {
		t.Errorf("%s: address %q, want %q; heard %q", what, got, address, h.server.heard())
	}
	if got != "" && !h.expires.IsZero() && !h.expires.After(time.Now()) {
		t.Errorf("%s: expired", what)
	}
}
