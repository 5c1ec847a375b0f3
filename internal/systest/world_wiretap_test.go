// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/monitor"
)

// An announcement is an ARP, ND or RARP frame: it says, or asks, which MAC has an address.
type announcement struct {
	At             time.Time
	NIC            string // of box, that sent or received it
	Kind           announcementKind
	From, To       frame.MAC // of the Ethernet header
	MAC            frame.MAC // in the payload: ARP's sender, ND's link-layer option; 0: none
	Sender, Target netip.Addr
	Solicited      bool // an NA that answers an NS
}

func (n announcement) String() string {
	return fmt.Sprintf("%s by %s from %v to %v: %s is at %v, about %s", n.Kind, n.NIC, n.From, n.To, n.Sender, n.MAC,
		n.Target)
}

// steersOnePeer reports whether n is an unsolicited answer to one host: how elb steers its peers.
func (n announcement) steersOnePeer() bool {
	return n.To != frame.Broadcast && n.To>>40&1 == 0 && n.Sender == n.Target && !n.Solicited &&
		(n.Kind == arpAnswer || n.Kind == arpRequest || n.Kind == ndAnswer)
}

type announcementKind string

const (
	arpRequest announcementKind = "ARP request"
	arpAnswer  announcementKind = "ARP answer"
	ndRequest  announcementKind = "NS"
	ndAnswer   announcementKind = "NA"
	learning   announcementKind = "RARP"
)

// parseAnnouncement parses an untagged frame.
func parseAnnouncement(b []byte) (n announcement, ok bool) {
	n.To, n.From = frame.MACAt(b, 0), frame.MACAt(b, 6)
	switch t := binary.BigEndian.Uint16(b[12:]); {
	case t == 0x8035 && len(b) >= 42:
		n.Kind, n.MAC = learning, frame.MACAt(b, 22)
	case t == 0x0806 && len(b) >= 42:
		n.Kind = arpRequest
		if b[21] == 2 {
			n.Kind = arpAnswer
		}
		n.MAC = frame.MACAt(b, 22)
		n.Sender, n.Target = netip.AddrFrom4([4]byte(b[28:])), netip.AddrFrom4([4]byte(b[38:]))
	case t == 0x86dd && len(b) >= 78 && b[20] == 58 && (b[54] == 135 || b[54] == 136):
		n.Kind, n.Sender, n.Target = ndRequest, netip.AddrFrom16([16]byte(b[22:])), netip.AddrFrom16([16]byte(b[62:]))
		if b[54] == 136 {
			// The target of an NA is an address of its sender.
			n.Kind, n.Sender, n.Solicited = ndAnswer, n.Target, b[58]&0x40 != 0
		}
		// Duplicate address detection has a nonce option instead.
		if len(b) >= 86 && (b[78] == 1 || b[78] == 2) && b[79] == 1 {
			n.MAC = frame.MACAt(b, 80)
		}
	default:
		return n, false
	}
	return n, true
}

// wireTap records the frames on the wires of a world.
type wireTap struct {
	t testing.TB

	mu                         sync.Mutex
	macs                       map[string]frame.MAC            // of box's NICs
	sentFrames, receivedFrames map[string]map[frame.MAC]uint64 // by NIC and source; received: to the NIC's own MAC
	foreign                    map[frame.MAC][]byte            // by source: first frame sent by another NIC
	sentList, receivedList     []announcement
}

// tapWires records all wires from now on.
func (w *world) tapWires() *wireTap {
	e := &wireTap{t: w.t, macs: map[string]frame.MAC{}, sentFrames: map[string]map[frame.MAC]uint64{},
		receivedFrames: map[string]map[frame.MAC]uint64{}, foreign: map[frame.MAC][]byte{}}
	for nic := range w.wires {
		e.tapNIC(w, nic)
	}
	w.tap = e
	return e
}

// tapNIC records the wire of one more NIC.
func (e *wireTap) tapNIC(w *world, nic string) {
	e.mu.Lock()
	e.macs[nic] = frame.MACFrom(w.wires[nic].A.MAC)
	e.sentFrames[nic], e.receivedFrames[nic] = map[frame.MAC]uint64{}, map[frame.MAC]uint64{}
	e.mu.Unlock()
	w.wires[nic].A.Filter(func(b []byte) int { e.onSent(nic, b); return 1 })
	w.wires[nic].B.Filter(func(b []byte) int { e.onReceived(nic, b); return 1 })
}

func (e *wireTap) onSent(nic string, b []byte) {
	n, ok := parseAnnouncement(b)
	e.mu.Lock()
	defer e.mu.Unlock()
	if ok {
		n.At, n.NIC = time.Now(), nic
		e.sentList = append(e.sentList, n)
	}
	if n.Kind != learning {
		from, to := frame.MACAt(b, 6), frame.MACAt(b, 0)
		if to.Multicast() && to != frame.Broadcast && !slices.Contains(slices.Collect(maps.Values(e.macs)), from) {
			return // a group report of a guest behind the adapter
		}
		e.sentFrames[nic][from]++
		if from != e.macs[nic] && e.foreign[from] == nil {
			e.foreign[from] = bytes.Clone(b[:min(len(b), 96)])
		}
	}
}

func (e *wireTap) onReceived(nic string, b []byte) {
	n, ok := parseAnnouncement(b)
	e.mu.Lock()
	defer e.mu.Unlock()
	if ok {
		n.At, n.NIC = time.Now(), nic
		e.receivedList = append(e.receivedList, n)
	}
	if frame.MACAt(b, 0) == e.macs[nic] {
		e.receivedFrames[nic][frame.MACAt(b, 6)]++
	}
}

// sent returns the announcements that box has sent since then.
func (e *wireTap) sent(since time.Time, wanted func(announcement) bool) []announcement {
	e.mu.Lock()
	defer e.mu.Unlock()
	return filterAnnouncements(e.sentList, since, wanted)
}

// received returns the announcements that box has received since then, once for each NIC.
func (e *wireTap) received(since time.Time, wanted func(announcement) bool) []announcement {
	e.mu.Lock()
	defer e.mu.Unlock()
	return filterAnnouncements(e.receivedList, since, wanted)
}

func filterAnnouncements(list []announcement, since time.Time, wanted func(announcement) bool) (got []announcement) {
	for _, n := range list {
		if !n.At.Before(since) && wanted(n) {
			got = append(got, n)
		}
	}
	return got
}

// framesFrom returns, by NIC, the number of frames from a source to the NIC's own MAC.
func (e *wireTap) framesFrom(from frame.MAC) map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := map[string]uint64{}
	for nic, by := range e.receivedFrames {
		got[nic] = by[from]
	}
	return got
}

// membersUsedBy returns the NICs that sent frames of a source.
func (e *wireTap) membersUsedBy(from frame.MAC) (nics []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for nic, by := range e.sentFrames {
		if by[from] > 0 {
			nics = append(nics, nic)
		}
	}
	slices.Sort(nics)
	return nics
}

// reset clears all records.
func (e *wireTap) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sentList, e.receivedList = nil, nil
	clear(e.foreign)
	for _, by := range []map[string]map[frame.MAC]uint64{e.sentFrames, e.receivedFrames} {
		for nic := range by {
			clear(by[nic])
		}
	}
}

// checkOwnMACs fails the test unless each member sent with its own MAC only and announced no other one. A member that
// was down also asks by a MAC for that. behind are MACs behind the adapter: each must have been sent by one member.
func (e *wireTap) checkOwnMACs(behind ...frame.MAC) {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	pinned := map[frame.MAC][]string{}
	for nic, by := range e.sentFrames {
		for _, from := range slices.Sorted(maps.Keys(by)) {
			switch {
			case slices.Contains(behind, from):
				pinned[from] = append(pinned[from], nic)
			case from != e.macs[nic] && from != monitor.AskMAC(e.macs[nic]):
				e.t.Errorf("%s sent %d frames from %v, its own is %v; the first: % x", nic, by[from], from,
					e.macs[nic], e.foreign[from])
			}
		}
	}
	for from, nics := range pinned {
		if len(nics) != 1 {
			e.t.Errorf("frames from %v, behind the adapter, left by %v", from, nics)
		}
	}
	for _, n := range e.sentList {
		if n.Kind != learning && n.MAC != 0 && n.MAC != e.macs[n.NIC] && n.MAC != monitor.AskMAC(e.macs[n.NIC]) &&
			!slices.Contains(behind, n.MAC) {
			e.t.Errorf("%v, and its address is %v", n, e.macs[n.NIC])
		}
	}
}

// macOf converts a MAC.
func macOf(hw net.HardwareAddr) frame.MAC { return frame.MACFrom(hw) }
