// SPDX-License-Identifier: MIT

package masquerade

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

const (
	// batchSize is how many connections are rebound in one call.
	batchSize = 64
	// maxRounds bounds the retries for connections that a packet re-created meanwhile.
	maxRounds = 4
	// maxConnections and maxTime bound the whole: addresses that do not move are worse than connections that end.
	maxConnections = 100_000
	maxTime        = 10 * time.Second
)

var errTooMany = fmt.Errorf("there are more than %d, or they take more than %v", maxConnections, maxTime)

// Rebinding rebinds the connections masqueraded to addresses that are about to move, or to an address of lo, which
// masquerade uses if the interface has none.
//
//	Start      before anything changes: a dump of the whole table takes the kernel tens of milliseconds
//	CatchUp    right before the routes move, and right after: connections that began since, by events
//	Close
//
// No failure stops the move of addresses; the only error is an injected crash.
type Rebinding struct {
	conn       *rtnl.Conn
	log        *slog.Logger
	team       string
	addresses  []netip.Addr
	begun      time.Time
	nf         *nfnl.Conn      // nil: nothing is tracked here
	events     *nfnl.Conn      // new connections
	eventsLost bool            // events were lost
	rebound    map[string]bool // by connection.key
	count      int
	failed     int    // not rebound
	reason     error  // first reason
	guard      *guard // nil: none needed, or unavailable
	unguarded  bool
}

// loIndex is lo's in every namespace.
const loIndex = 1

// Start rebinds the connections masqueraded to these addresses, which are about to move, or to an address of lo.
func Start(conn *rtnl.Conn, log *slog.Logger, team string, addresses []rtnl.Object) (*Rebinding, error) {
	c := &Rebinding{conn: conn, log: log, team: team, begun: time.Now(), rebound: map[string]bool{}}
	lo, err := conn.Addresses(loIndex)
	if err != nil {
		return nil, err
	}
	for _, a := range slices.Concat(addresses, lo) {
		if addr := rtnl.AddressPrefix(a).Addr(); !rtnl.IsLinkLocal(a) && !addr.IsLoopback() {
			c.addresses = append(c.addresses, addr)
		}
	}
	if err := c.begin(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Rebinding) begin() (err error) {
	tracked, ok := trackedConnections()
	if !ok {
		return nil
	}
	if err := c.conn.FaultPoint("rebind connections"); err != nil {
		return err
	}
	if c.nf, err = nfnl.Open(); err != nil {
		c.fail(0, err)
		return nil
	}
	if c.events, err = nfnl.Open(); err == nil {
		err = c.events.Subscribe(unix.NFNLGRP_CONNTRACK_NEW)
	}
	c.eventsLost = err != nil || !tellsOfConnections()
	if tracked > 0 {
		c.rebindAll()
	}
	return nil
}

// CatchUp rebinds connections that began since.
func (c *Rebinding) CatchUp() error {
	if c.nf == nil {
		return nil
	}
	if err := c.conn.FaultPoint("rebind connections"); err != nil {
		return err
	}
	fresh := c.newConnections()
	if c.eventsLost {
		c.rebindAll()
		return nil
	}
	c.rebind(fresh)
	return nil
}

func (c *Rebinding) rebindAll() {
	list, err := connectionsBy(c.nf, c.addresses)
	if err != nil {
		c.fail(0, err)
		return
	}
	c.rebind(list)
}

// rebind rebinds connections, and retries those that a packet re-created in between.
func (c *Rebinding) rebind(list []connection) {
	until := time.Now().Add(maxTime)
	for range maxRounds {
		list = slices.DeleteFunc(list, func(t connection) bool { return c.rebound[t.key()] })
		var again []connection
		for part := range slices.Chunk(list, batchSize) {
			if c.count >= maxConnections || time.Now().After(until) {
				c.fail(len(list), errTooMany)
				return
			}
			list = list[len(part):]
			again = append(again, c.rebindBatch(part)...)
			if c.count > 0 {
				again = append(again, c.newConnections()...)
			}
		}
		if len(again) == 0 {
			return
		}
		list = c.reread(again)
	}
}

// newConnections returns the connections of which the kernel sent events since the last call, read again.
func (c *Rebinding) newConnections() []connection {
	if c.events == nil {
		return nil
	}
	var list []connection
	complete := c.events.ReadPending(func(b []byte) {
		if t, ok := outgoingBy(b, c.addresses); ok && !c.rebound[t.key()] {
			list = append(list, t)
		}
	})
	c.eventsLost = c.eventsLost || !complete
	return c.reread(list)
}

// reread reads connections again: they have changed since the event, or their tuple is another connection's.
func (c *Rebinding) reread(list []connection) (out []connection) {
	seen := map[string]bool{}
	for _, t := range list {
		if seen[t.key()] {
			continue
		}
		seen[t.key()] = true
		err := c.nf.Get(ctGet, t.toFind(), func(b []byte) error {
			if t, ok := outgoingBy(b, c.addresses); ok {
				out = append(out, t)
			}
			return nil
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			c.fail(1, err)
		}
	}
	return out
}

// rebindBatch rebinds connections in one call. again are those that a packet re-created in between.
func (c *Rebinding) rebindBatch(list []connection) (again []connection) {
	var batch []nfnl.Message
	var sent []connection
	for _, t := range list {
		create, err := t.toCreate()
		if err == nil && t.status()&ipsOffload != 0 {
			err = unix.EBUSY // the kernel does not delete it
		}
		if err != nil {
			c.rebound[t.key()] = true
			c.fail(1, err)
			continue
		}
		batch = append(batch,
			nfnl.Message{Kind: ctDelete, Flags: 0, Body: t.toDelete()},
			nfnl.Message{Kind: ctNew, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, Body: create})
		sent = append(sent, t)
	}
	if len(sent) == 0 {
		return nil
	}
	c.guardBatch(sent)
	results, err := c.nf.Batch(batch)
	if err != nil {
		c.fail(len(sent), err)
		return nil
	}
	for i, t := range sent {
		err := results[2*i+1]
		if err != nil && !errors.Is(err, unix.EEXIST) && results[2*i] == nil {
			// Better without helper, master and labels than not at all.
			err = c.createBare(batch[2*i+1])
		}
		switch {
		case err == nil:
			c.rebound[t.key()] = true
			c.count++
		case errors.Is(err, unix.EEXIST):
			again = append(again, t)
		default:
			c.rebound[t.key()] = true
			c.fail(1, err)
		}
	}
	return again
}

func (c *Rebinding) createBare(m nfnl.Message) error {
	m.Body = m.Body.Clone()
	m.Body.Drop(ctaHelp, ctaTupleMaster, ctaLabels, ctaSeqAdjOrig, ctaSeqAdjReply, ctaSynproxy)
	results, err := c.nf.Batch([]nfnl.Message{m})
	return cmp.Or(err, errors.Join(results...))
}

func (c *Rebinding) fail(connections int, why error) {
	c.failed += connections
	c.reason = cmp.Or(c.reason, why)
}

// guardBatch guards connections against resets. Without guard they are at risk between two messages of a batch.
func (c *Rebinding) guardBatch(list []connection) {
	if c.unguarded {
		return
	}
	var err error
	if c.guard == nil {
		c.guard, err = openGuard(nfnl.TeamTable(c.team))
	}
	if err == nil {
		err = c.guard.add(list)
	}
	if err != nil {
		c.unguarded = true
		c.log.Debug("no guard for connections that are rebound", "err", err)
	}
}

// Close logs the result, and returns a note for the user, "" for none. Close of nil and a second Close are fine.
func (c *Rebinding) Close() (note string) {
	if c == nil {
		return ""
	}
	if c.guard != nil {
		c.guard.close()
	}
	for _, n := range []*nfnl.Conn{c.nf, c.events} {
		if n != nil {
			n.Close()
		}
	}
	c.guard, c.nf, c.events = nil, nil, nil
	if c.count > 0 {
		c.log.Info("masqueraded connections rebound", "connections", c.count, "took", time.Since(c.begun))
	}
	if c.reason == nil {
		return ""
	}
	c.log.Warn("masqueraded connections may be cut", "connections", c.failed, "err", c.reason)
	if c.failed == 0 {
		return fmt.Sprintf("masqueraded connections may be cut: %v", c.reason)
	}
	return fmt.Sprintf("masqueraded connections cut: %d (%v)", c.failed, c.reason)
}

const (
	ctNew    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_NEW
	ctGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_GET
	ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_DELETE
)

// connectionsBy lists the connections that leave by one of the addresses and have source NAT decided. That includes
// those where masquerade changed nothing, such as the host's own; the kernel does not say whether it was a masquerade.
// Related connections come last, because their masters must exist first.
func connectionsBy(n *nfnl.Conn, addresses []netip.Addr) ([]connection, error) {
	var list []connection
	// Older kernels ignore the status and list all.
	wanted := binary.BigEndian.AppendUint32(nil, ipsSrcNATDone)
	ask := nfnl.NewBody(unix.AF_UNSPEC, rtnl.Attr(ctaStatus, wanted), rtnl.Attr(ctaStatusMask, wanted))
	err := n.Dump(ctGet, ask, func(b []byte) error {
		if c, ok := outgoingBy(b, addresses); ok {
			list = append(list, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	slices.SortStableFunc(list, func(a, b connection) int {
		return cmp.Compare(len(a.Get(ctaTupleMaster)), len(b.Get(ctaTupleMaster)))
	})
	return list, nil
}

// outgoingBy parses a connection and reports whether it is one of these.
func outgoingBy(b []byte, addresses []netip.Addr) (connection, bool) {
	o, err := rtnl.ParseObject(b, nfnl.HeaderLen)
	if err != nil {
		return connection{}, false
	}
	if s := (connection{Object: o}).status(); s&ipsSrcNATDone == 0 || s&ipsDying != 0 {
		return connection{}, false
	}
	c, err := parseConnection(b)
	inside := slices.Contains(addresses, c.orig.dst) // the host with itself
	return c, err == nil && slices.Contains(addresses, c.reply.dst) && !inside
}

// tellsOfConnections reports whether the kernel sends events for new connections.
func tellsOfConnections() bool {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_events")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
