// SPDX-License-Identifier: MIT

package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Link carries messages of one client.
type Link interface {
	// Open makes the link receive. A Link that is open stays so.
	Open() error
	// Close ends reception until the next Open.
	Close()
	// Send sends a message: by broadcast if to is zero, from no address if from is zero.
	Send(msg []byte, from, to netip.Addr) error
	// Probe asks by ARP whether another host has the address.
	Probe(ip netip.Addr) error
	// Received has what arrived while the link was open.
	Received() <-chan Event
}

// Event is what a Link received.
type Event struct {
	Message  []byte     // a BOOTP message
	Conflict netip.Addr // another host has this address
}

// Status is the state of a Client.
type Status struct {
	State State
	Lease Lease // zero: none
	Why   string
}

// Options of a Client. Apply and Lost are called by Run, one at a time.
type Options struct {
	Link  Link
	Apply func(Lease) error // configures a lease; granted anew or renewed
	Lost  func(l Lease, why string)
	Now   func() time.Time // goes on while the host is suspended
	Log   *slog.Logger
}

// Client runs a Machine.
type Client struct {
	o    Options
	wake chan struct{}

	mu      sync.Mutex
	machine *Machine
	linkUp  bool          // tell the Machine
	bound   chan struct{} // closed when there is a lease
	why     string
}

// clockStep bounds how long Run sleeps: timers stand still while the host is suspended.
const clockStep = 10 * time.Second

// New returns a Client for a Machine.
func New(m *Machine, o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{o: o, machine: m, wake: make(chan struct{}, 1), bound: make(chan struct{})}
}

// Status returns the client's state.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, _ := c.machine.Lease()
	return Status{State: c.machine.State(), Lease: l, Why: c.why}
}

// Bound is closed after the first lease was configured.
func (c *Client) Bound() <-chan struct{} { return c.bound }

// LinkUp tells the client that the link has a carrier again.
func (c *Client) LinkUp() {
	c.mu.Lock()
	c.linkUp = true
	c.mu.Unlock()
	c.signal()
}

// Renewed tells the client that another one has renewed the lease.
func (c *Client) Renewed(expires time.Time) {
	c.mu.Lock()
	c.machine.Renewed(c.o.Now(), expires)
	c.mu.Unlock()
	c.signal()
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run acquires and renews the lease until ctx ends. The lease stays.
func (c *Client) Run(ctx context.Context) {
	defer c.o.Link.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			c.handle(Input{})
		case <-c.wake:
			c.mu.Lock()
			in := Input{LinkUp: c.linkUp}
			c.linkUp = false
			c.mu.Unlock()
			c.handle(in)
		case e := <-c.o.Link.Received():
			if in, ok := e.input(); ok {
				c.handle(in)
			}
		}
		c.mu.Lock()
		wait, at := clockStep, c.machine.Deadline()
		if !at.IsZero() {
			wait = min(max(at.Sub(c.o.Now()), 0), clockStep)
		}
		if !c.machine.Waiting() {
			c.o.Link.Close()
		}
		c.mu.Unlock()
		timer.Reset(wait)
	}
}

// input parses what was received.
func (e Event) input() (Input, bool) {
	if e.Conflict.IsValid() {
		return Input{Conflict: true}, true
	}
	m, err := dhcpv4.FromBytes(e.Message)
	return Input{Message: m}, err == nil
}

func (c *Client) handle(in Input) {
	c.mu.Lock()
	before := c.machine.State()
	out := c.machine.Handle(c.o.Now(), in)
	after := c.machine.State()
	if out.Why != "" || out.Lease != nil {
		c.why = out.Why
	}
	c.mu.Unlock()
	if before != after {
		c.o.Log.Debug("dhcp", "state", after, "was", before, "reason", out.Why)
	}
	if out.Lost != nil {
		c.o.Lost(*out.Lost, out.Why)
	}
	if out.Lease != nil {
		c.apply(*out.Lease)
	}
	if err := c.emit(out); err != nil {
		c.o.Log.Debug("dhcp message not sent", "err", err)
		c.mu.Lock()
		c.why = err.Error()
		c.mu.Unlock()
	}
}

func (c *Client) apply(l Lease) {
	if err := c.o.Apply(l); err != nil {
		c.o.Log.Warn("lease not configured", "address", l.Address, "err", err)
		c.mu.Lock()
		c.why = err.Error()
		c.mu.Unlock()
		return
	}
	select {
	case <-c.bound:
	default:
		close(c.bound)
	}
}

// emit sends what the Machine wants to send. What cannot be sent is sent again at the Machine's next deadline.
func (c *Client) emit(out Output) error {
	if out.Send == nil && !out.Probe.IsValid() {
		return nil
	}
	if err := c.o.Link.Open(); err != nil {
		return fmt.Errorf("open link: %w", err)
	}
	if out.Send != nil {
		if err := c.o.Link.Send(out.Send.ToBytes(), out.From, out.To); err != nil {
			return err
		}
	}
	if out.Probe.IsValid() {
		return c.o.Link.Probe(out.Probe)
	}
	return nil
}
