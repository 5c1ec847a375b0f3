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
)

// Masqueraded connections and addresses that move.
//
// A masquerade remembers the interface that a connection went out by (nf_conn_nat.masq_index). When the address leaves that
// interface the kernel ends the connection (masq_inet_event), and even before that, when a packet of its goes out by
// another (nf_nat_oif_changed): a download of a container is cut though its address is still the host's. The kernel lets
// nobody change what was remembered. A connection that ctnetlink makes has nothing remembered and goes on as long as its address is the
// host's, so each is deleted and made anew with the same translation, before routes and addresses move.
//
// A packet that comes between the two would find a host that knows of no such connection, and the answer would be a
// reset: see connectionGuard.

const (
	// carriedAtOnce is how many connections are made anew in one call.
	carriedAtOnce = 64
	// carryRounds bounds how often those are tried again that a packet began meanwhile.
	carryRounds = 4
	// carryTime bounds it all: addresses that do not move are worse than connections that end.
	carryTime = 3 * time.Second
)

// carrying is about the connections whose source is translated to addresses that are about to move.
type carrying struct {
	h         *Host
	addresses []netip.Addr
	begun     time.Time
	done      map[string]bool // by connection.key
	carried   int
	left      int   // could not be carried
	why       error // the first reason
	guards    map[byte]*connectionGuard
}

// carry begins to carry connections over with addresses. Call move before and after the routes move, then close.
func (h *Host) carry(list []object) *carrying {
	c := &carrying{h: h, begun: time.Now(), done: map[string]bool{}, guards: map[byte]*connectionGuard{}}
	for _, a := range list {
		if !linkLocal(a) {
			c.addresses = append(c.addresses, addressPrefix(a).Addr())
		}
	}
	return c
}

// carryWhile carries connections over with the addresses of links, whose routes are moved by f.
func (h *Host) carryWhile(f func() error, links ...int) error {
	var list []object
	for _, index := range links {
		have, err := h.addresses(index)
		if err != nil {
			return err
		}
		list = append(list, have...)
	}
	c := h.carry(list)
	defer c.close()
	if err := c.move(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.move()
}

// move makes the connections anew that are not yet. What becomes of them keeps no address from moving: the only error is death.
func (c *carrying) move() error {
	if len(c.addresses) == 0 || trackedConnections() == 0 {
		return nil
	}
	if err := c.h.at("carry connections over"); err != nil {
		return err
	}
	c.rounds()
	return nil
}

func (c *carrying) rounds() {
	n, err := openNFNetlink()
	if err != nil {
		c.fail(0, err)
		return
	}
	defer n.close()
	for range carryRounds {
		list, err := translated(n, c.addresses)
		if err != nil {
			c.fail(0, err)
			return
		}
		list = slices.DeleteFunc(list, func(t connection) bool { return c.done[t.key()] })
		again := false
		for part := range slices.Chunk(list, carriedAtOnce) {
			if time.Since(c.begun) > carryTime {
				c.fail(len(list), fmt.Errorf("more than can be carried over in %v", carryTime))
				return
			}
			again = c.moveSome(n, part) || again
		}
		if !again {
			return
		}
	}
}

// moveSome makes connections anew in one call. again: a packet of one began it anew in between, and it is to be listed again.
func (c *carrying) moveSome(n *nfnetlink, list []connection) (again bool) {
	var batch []nfMessage
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
			nfMessage{ctDelete, 0, t.toDelete()},
			nfMessage{ctNew, unix.NLM_F_CREATE | unix.NLM_F_EXCL, create})
		sent = append(sent, t)
	}
	if len(sent) == 0 {
		return false
	}
	c.guard(sent)
	results, err := n.batch(batch)
	if err != nil {
		c.fail(len(sent), err)
		return false
	}
	for i, t := range sent {
		err := results[2*i+1]
		if err != nil && !errors.Is(err, unix.EEXIST) && results[2*i] == nil {
			// Better without helper, master and labels than not at all.
			err = c.createBare(n, batch[2*i+1])
		}
		switch {
		case err == nil:
			c.done[t.key()] = true
			c.carried++
		case errors.Is(err, unix.EEXIST):
			again = true
		default:
			c.done[t.key()] = true
			c.fail(1, err)
		}
	}
	return again
}

func (c *carrying) createBare(n *nfnetlink, m nfMessage) error {
	m.body = m.body.clone()
	m.body.drop(ctaHelp, ctaTupleMaster, ctaLabels, ctaSeqAdjOrig, ctaSeqAdjReply, ctaSynproxy)
	results, err := n.batch([]nfMessage{m})
	return cmp.Or(err, errors.Join(results...))
}

func (c *carrying) fail(connections int, why error) {
	c.left += connections
	c.why = cmp.Or(c.why, why)
}

// guard has packets of the connections dropped for which the host would have no better answer than a reset.
func (c *carrying) guard(list []connection) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		var of []connection
		for _, t := range list {
			if t.family() == family && hasPorts(t.orig.proto) {
				of = append(of, t)
			}
		}
		if len(of) == 0 {
			continue
		}
		g, ok := c.guards[family]
		if !ok {
			var err error
			if g, err = openConnectionGuard(c.h.nftTable(), family); err != nil {
				c.h.log.Debug("no guard for connections that are made anew", "err", err)
			}
			c.guards[family] = g
		}
		if g == nil {
			continue
		}
		if err := g.add(of); err != nil {
			c.h.log.Debug("guard connections that are made anew", "err", err)
		}
	}
}

// close ends the guards, says how it went in the log, and returns what else is worth saying, "" for nothing.
func (c *carrying) close() (note string) {
	for _, g := range c.guards {
		if g != nil {
			g.close()
		}
	}
	if c.carried > 0 {
		c.h.log.Info("translated connections go on", "connections", c.carried, "took", time.Since(c.begun))
	}
	if c.why == nil {
		return ""
	}
	c.h.log.Warn("translated connections may end", "connections", c.left, "err", c.why)
	if c.left == 0 {
		return fmt.Sprintf("connections that are masqueraded may end: %v", c.why)
	}
	return fmt.Sprintf("%d masqueraded connections could not be carried over and end: %v", c.left, c.why)
}

const (
	ctNew    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_NEW
	ctGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_GET
	ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_DELETE
)

// translated lists the connections whose source is translated to one of the addresses, those that came of others last: they can be made only
// when their masters are there.
func translated(n *nfnetlink, addresses []netip.Addr) ([]connection, error) {
	var list []connection
	// Kernels before 6.0 do not look at the status and list all.
	wanted := binary.BigEndian.AppendUint32(nil, ipsSrcNAT)
	ask := nfBody(unix.AF_UNSPEC, attribute{ctaStatus, wanted}, attribute{ctaStatusMask, wanted})
	err := n.dump(ctGet, ask, func(b []byte) error {
		c, err := parseConnection(b)
		if err != nil {
			return err
		}
		if s := c.status(); s&ipsSrcNAT != 0 && s&ipsDying == 0 && slices.Contains(addresses, c.reply.dst) {
			list = append(list, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	slices.SortStableFunc(list, func(a, b connection) int {
		return cmp.Compare(len(a.get(ctaTupleMaster)), len(b.get(ctaTupleMaster)))
	})
	return list, nil
}

// trackedConnections is how many the kernel tracks in this namespace: 0 also where it tracks none at all, and to
// ask by netlink would load the module.
func trackedConnections() int {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
