// SPDX-License-Identifier: MIT

package steer

import (
	"container/list"
	"iter"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

const (
	maxBindings = 4096
	maxNames    = 4 // addresses of one peer
)

// binding is a peer and the address of ours that it talks to: one entry of the peer's ARP or ND cache.
//
// A peer is known by its addresses and by its MAC. Most have several addresses, above all in IPv6, and use now one and
// now another; teams have several MACs, and answer with any of them. Whoever has an address, or else the MAC, of a
// binding is that peer.
type binding struct {
	*address
	mac   frame.MAC    // the last it used
	to    netip.Addr   // the address it used last
	shown netip.Addr   // to users: a link-local one only if it has no other
	names []netip.Addr // at most maxNames, the oldest first

	member int
	class  int       // of spread.RxBytes
	since  time.Time // member is its member
	seen   time.Time // it last sent a request, an answer or anything else
	sent   time.Time // it last sent anything else

	holdUntil time.Time // until then it moves only if its member is gone
	bps       uint64    // that it sends, smoothed
	weight    float64   // bit/s that it counts for
	warmup    int       // measurements that still say too little

	lastNotified  time.Time
	notifications uint64
	notifyAgain   bool // once more, notifyInterval later: an unsolicited notification can get lost
	task          task

	busy   bool          // in table.busy instead of table.idle
	inUse  *list.Element // of table.bindings
	recent *list.Element // of table.busy or table.idle
}

// address is one of our addresses.
type address struct {
	addressKey
	bindings map[*binding]struct{}
	mac      frame.MAC // in our last frame to all
	task     task      // repair
}

type addressKey struct {
	vlan uint16
	ours netip.Addr
}

// peerKey and macKey identify a binding.
type peerKey struct {
	addressKey
	peer netip.Addr
}

type macKey struct {
	addressKey
	mac frame.MAC
}

// peerTable has the bindings. No result depends on the order of a map, so the events alone decide what happens.
type peerTable struct {
	bindings   list.List // *binding, in the order of creation
	idle, busy list.List // *binding, the one seen last in front; busy ones have sent something within busyTime
	names      map[peerKey]*binding
	macs       map[macKey]*binding
	addresses  map[addressKey]*address
	created    uint64 // bindings and addresses, in all
}

func (t *peerTable) len() int { return t.bindings.Len() }

// all yields the bindings in the order of creation; the one at hand may be removed.
func (t *peerTable) all() iter.Seq[*binding] {
	return func(yield func(*binding) bool) {
		for e := t.bindings.Front(); e != nil; {
			next := e.Next()
			if !yield(e.Value.(*binding)) {
				return
			}
			e = next
		}
	}
}

// find returns the binding of a peer with that address or else that MAC, nil if there is none.
func (t *peerTable) find(k addressKey, peer netip.Addr, mac frame.MAC) *binding {
	if b := t.names[peerKey{k, peer}]; b != nil {
		return b
	}
	return t.macs[macKey{k, mac}]
}

// create adds a binding that was seen now.
func (t *peerTable) create(k addressKey, now time.Time) *binding {
	if t.names == nil {
		t.names, t.macs, t.addresses = map[peerKey]*binding{}, map[macKey]*binding{}, map[addressKey]*address{}
	}
	a := t.addresses[k]
	if a == nil {
		t.created++
		a = &address{addressKey: k, bindings: map[*binding]struct{}{}}
		a.task = task{seq: t.created, address: a}
		t.addresses[k] = a
	}
	t.created++
	b := &binding{address: a, member: -1, seen: now}
	b.task = task{seq: t.created, binding: b}
	a.bindings[b] = struct{}{}
	b.inUse, b.recent = t.bindings.PushBack(b), t.idle.PushFront(b)
	return b
}

// rename notes which address and MAC a peer uses.
func (t *peerTable) rename(b *binding, peer netip.Addr, mac frame.MAC) {
	b.to = peer
	if !b.shown.IsValid() || b.shown.IsLinkLocalUnicast() || !peer.IsLinkLocalUnicast() {
		b.shown = peer
	}
	if !slices.Contains(b.names, peer) {
		if len(b.names) == maxNames {
			delete(t.names, peerKey{b.addressKey, b.names[0]})
			b.names = slices.Delete(b.names, 0, 1)
		}
		b.names = append(b.names, peer)
		t.names[peerKey{b.addressKey, peer}] = b
	}
	if b.mac == mac {
		return
	}
	t.releaseMAC(b)
	b.mac, b.class = mac, spread.RxClassOf(mac, b.ours.AsSlice())
	// A MAC of another binding stays that one's: a forged answer moves nobody else.
	if k := (macKey{b.addressKey, mac}); t.macs[k] == nil {
		t.macs[k] = b
	}
}

func (t *peerTable) releaseMAC(b *binding) {
	if k := (macKey{b.addressKey, b.mac}); t.macs[k] == b {
		delete(t.macs, k)
	}
}

// remove removes a binding, and its address if it has no other. It reports whether the address is gone.
func (t *peerTable) remove(b *binding) bool {
	t.bindings.Remove(b.inUse)
	t.lru(b).Remove(b.recent)
	for _, peer := range b.names {
		delete(t.names, peerKey{b.addressKey, peer})
	}
	t.releaseMAC(b)
	delete(b.bindings, b)
	if len(b.bindings) > 0 {
		return false
	}
	delete(t.addresses, b.addressKey)
	return true
}

// touch notes that a peer was seen.
func (t *peerTable) touch(b *binding, now time.Time) {
	b.seen = now
	t.lru(b).MoveToFront(b.recent)
}

// updateBusy moves a binding to the list where it belongs by what it has sent.
func (t *peerTable) updateBusy(b *binding, now time.Time) {
	if busy := !b.sent.IsZero() && now.Sub(b.sent) < busyTime; busy != b.busy {
		t.lru(b).Remove(b.recent)
		b.busy = busy
		b.recent = t.lru(b).PushFront(b)
	}
}

func (t *peerTable) lru(b *binding) *list.List {
	if b.busy {
		return &t.busy
	}
	return &t.idle
}

// leastRecent returns the binding of a list that was not seen for longest, nil if the list is empty.
func leastRecent(lru *list.List) *binding {
	if e := lru.Back(); e != nil {
		return e.Value.(*binding)
	}
	return nil
}
