package host

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

// Masqueraded connections and addresses that move.
//
// A masquerade remembers the interface that a connection went out by (nf_conn_nat.masq_index). When the address leaves that
// interface the kernel ends the connection (masq_inet_event), and even before that, when a packet of its goes out by
// another (nf_nat_oif_changed): a download of a container is cut though its address is still the host's. The kernel lets
// nobody change what was remembered. A connection that ctnetlink makes has nothing remembered and goes on as long as its address is the
// host's, so each is deleted and made anew with the same translation, before routes and addresses move. The host's own
// connections are among them where its rules masquerade all that leaves it: nothing of them is changed, but they are bound just so.
//
// A packet that comes between the two would find a host that knows of no such connection, and the answer would be a
// reset: see connectionGuard.

const (
	// carriedAtOnce is how many connections are made anew in one call.
	carriedAtOnce = 64
	// carryRounds bounds how often those are tried again that a packet began meanwhile.
	carryRounds = 4
	// carriedAtMost and carryTime bound it all: addresses that do not move are worse than connections that end.
	carriedAtMost = 100_000
	carryTime     = 10 * time.Second
)

var errTooMany = fmt.Errorf("there are more than %d, or they take more than %v", carriedAtMost, carryTime)

// carrying is about the connections that may be masqueraded to addresses that are about to move, or to one of lo, which a
// masquerade uses where the interface has none.
//
//	begin      while nothing has changed: to list them takes the kernel tens of milliseconds, for it looks through the whole table
//	catchUp    right before the routes move, and right after: those that began meanwhile, of which the kernel has told
//	close
//
// What becomes of connections keeps no address from moving: the only error is death.
type carrying struct {
	h         *Host
	links     []int // whose addresses they are, ascending; nil: given otherwise
	addresses []netip.Addr
	begun     time.Time
	nf        *nfnl.Conn      // nil: nothing is tracked here, or nobody tells
	events    *nfnl.Conn      // tells of connections that begin
	deaf      bool            // it did not tell of all
	done      map[string]bool // by connection.key
	carried   int
	left      int              // could not be carried
	why       error            // the first reason
	guard     *connectionGuard // nil: none needed, or none to be had
	unguarded bool
}

// loIndex is lo's in every namespace.
const loIndex = 1

// CarryConnections begins to carry connections over that go by the addresses of recorded members. Adopt goes on with it, and
// begins it itself where nobody has; earlier is better, because packets take two different ways between Isolate and Adopt.
func (h *Host) CarryConnections(members []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var links []int
	for _, name := range members {
		n, err := h.nic(name)
		if err != nil {
			return err
		}
		links = append(links, n.Index)
	}
	slices.Sort(links)
	h.endCarrying()
	var err error
	h.connections, err = h.carryFrom(links)
	return err
}

// endCarrying ends what CarryConnections has begun for an Adopt that did not come.
func (h *Host) endCarrying() {
	h.connections.close()
	h.connections = nil
}

// carryFrom begins with connections that go by the addresses of links.
func (h *Host) carryFrom(links []int) (*carrying, error) {
	var list []rtnl.Object
	for _, index := range links {
		have, err := h.rt.Addresses(index)
		if err != nil {
			return nil, err
		}
		list = append(list, have...)
	}
	c, err := h.carry(list)
	if c != nil {
		c.links = links
	}
	return c, err
}

// carry begins with connections that go by addresses.
func (h *Host) carry(list []rtnl.Object) (*carrying, error) {
	c := &carrying{h: h, begun: time.Now(), done: map[string]bool{}}
	lo, err := h.rt.Addresses(loIndex)
	if err != nil {
		return nil, err
	}
	for _, a := range slices.Concat(list, lo) {
		if addr := rtnl.AddressPrefix(a).Addr(); !rtnl.IsLinkLocal(a) && !addr.IsLoopback() {
			c.addresses = append(c.addresses, addr)
		}
	}
	if err := c.begin(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// carryWhile carries connections over that go by the addresses of links, whose routes f moves.
func (h *Host) carryWhile(f func() error, links ...int) (err error) {
	slices.Sort(links)
	c := h.connections
	if c != nil && slices.Equal(c.links, links) {
		h.connections = nil
	} else if c, err = h.carryFrom(links); err != nil {
		return err
	}
	defer c.close()
	if err := c.catchUp(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.catchUp()
}

func (c *carrying) begin() (err error) {
	tracked, ok := trackedConnections()
	if !ok {
		return nil
	}
	if err := c.h.at("carry connections over"); err != nil {
		return err
	}
	if c.nf, err = nfnl.Open(); err != nil {
		c.fail(0, err)
		return nil
	}
	if c.events, err = nfnl.Open(); err == nil {
		err = c.events.Subscribe(unix.NFNLGRP_CONNTRACK_NEW)
	}
	c.deaf = err != nil || !tellsOfConnections()
	if tracked > 0 {
		c.listed()
	}
	return nil
}

// catchUp makes those anew that began meanwhile.
func (c *carrying) catchUp() error {
	if c.nf == nil {
		return nil
	}
	if err := c.h.at("carry connections over"); err != nil {
		return err
	}
	fresh := c.fresh()
	if c.deaf {
		c.listed()
		return nil
	}
	c.rounds(fresh)
	return nil
}

func (c *carrying) listed() {
	list, err := connectionsBy(c.nf, c.addresses)
	if err != nil {
		c.fail(0, err)
		return
	}
	c.rounds(list)
}

// rounds makes connections anew, and once more those that a packet of theirs was faster with.
func (c *carrying) rounds(list []connection) {
	until := time.Now().Add(carryTime)
	for range carryRounds {
		list = slices.DeleteFunc(list, func(t connection) bool { return c.done[t.key()] })
		var again []connection
		for part := range slices.Chunk(list, carriedAtOnce) {
			if c.carried >= carriedAtMost || time.Now().After(until) {
				c.fail(len(list), errTooMany)
				return
			}
			list = list[len(part):]
			again = append(again, c.moveSome(part)...)
			if c.carried > 0 {
				again = append(again, c.fresh()...)
			}
		}
		if len(again) == 0 {
			return
		}
		list = c.now(again)
	}
}

// fresh are the connections of which the kernel has told since it was last asked, as they are.
func (c *carrying) fresh() []connection {
	if c.events == nil {
		return nil
	}
	var list []connection
	complete := c.events.ReadPending(func(b []byte) {
		if t, ok := outgoingBy(b, c.addresses); ok && !c.done[t.key()] {
			list = append(list, t)
		}
	})
	c.deaf = c.deaf || !complete
	return c.now(list)
}

// now reads connections again: they have changed since they were told of, or are others of the same tuple.
func (c *carrying) now(list []connection) (out []connection) {
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

// moveSome makes connections anew in one call. again are those that a packet of theirs began in between.
func (c *carrying) moveSome(list []connection) (again []connection) {
	var batch []nfnl.Message
	var sent []connection
	for _, t := range list {
		create, err := t.toCreate()
		if err == nil && t.status()&ipsOffload != 0 {
			err = unix.EBUSY // the kernel does not delete it
		}
		if err != nil {
			c.done[t.key()] = true
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
	c.protect(sent)
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
			c.done[t.key()] = true
			c.carried++
		case errors.Is(err, unix.EEXIST):
			again = append(again, t)
		default:
			c.done[t.key()] = true
			c.fail(1, err)
		}
	}
	return again
}

func (c *carrying) createBare(m nfnl.Message) error {
	m.Body = m.Body.Clone()
	m.Body.Drop(ctaHelp, ctaTupleMaster, ctaLabels, ctaSeqAdjOrig, ctaSeqAdjReply, ctaSynproxy)
	results, err := c.nf.Batch([]nfnl.Message{m})
	return cmp.Or(err, errors.Join(results...))
}

func (c *carrying) fail(connections int, why error) {
	c.left += connections
	c.why = cmp.Or(c.why, why)
}

// protect has packets of the connections dropped for which the host would have no better answer than a reset. Where that cannot be
// had, connections are at risk for the moment between two messages of one batch.
func (c *carrying) protect(list []connection) {
	if c.unguarded {
		return
	}
	var err error
	if c.guard == nil {
		c.guard, err = openConnectionGuard(nfnl.TeamTable(c.h.o.Team))
	}
	if err == nil {
		err = c.guard.add(list)
	}
	if err != nil {
		c.unguarded = true
		c.h.log.Debug("no guard for connections that are made anew", "err", err)
	}
}

// close says how it went in the log, and returns what else is worth saying, "" for nothing. Closing nil or twice is fine.
func (c *carrying) close() (note string) {
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
	if c.carried > 0 {
		c.h.log.Info("connections go on with their address", "connections", c.carried, "took", time.Since(c.begun))
	}
	if c.why == nil {
		return ""
	}
	c.h.log.Warn("masqueraded connections may end", "connections", c.left, "err", c.why)
	if c.left == 0 {
		return fmt.Sprintf("connections that are masqueraded may end: %v", c.why)
	}
	return fmt.Sprintf("masqueraded connections that end, for they could not be carried over: %d (%v)", c.left, c.why)
}

const (
	ctNew    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_NEW
	ctGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_GET
	ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_DELETE
)

// connectionsBy lists the connections that go out by one of the addresses and whose source a translation has decided on. It has also
// where a masquerade changed nothing, as for the host's own connections, and whether it was one the kernel does not tell.
// Those that came of others are last: they can be made only when their masters are there.
func connectionsBy(n *nfnl.Conn, addresses []netip.Addr) ([]connection, error) {
	var list []connection
	// Older kernels do not look at the status and list all.
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

// outgoingBy reads a connection and reports whether it is such a one.
func outgoingBy(b []byte, addresses []netip.Addr) (connection, bool) {
	o, err := rtnl.ParseObject(b, nfnl.HeaderLen)
	if err != nil {
		return connection{}, false
	}
	if s := (connection{Object: o}).status(); s&ipsSrcNATDone == 0 || s&ipsDying != 0 {
		return connection{}, false
	}
	c, err := parseConnection(b)
	inside := slices.Contains(addresses, c.orig.dst) // the host with itself: nothing of it leaves
	return c, err == nil && slices.Contains(addresses, c.reply.dst) && !inside
}

// trackedConnections is how many the kernel tracks in this namespace; not ok where it tracks none at all, and to ask by netlink
// would load the module.
func trackedConnections() (n int, ok bool) {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return n, err == nil
}

// tellsOfConnections reports whether the kernel tells who listens of connections that begin.
func tellsOfConnections() bool {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_events")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
