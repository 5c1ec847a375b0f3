// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// AddressSource knows what to announce of the adapter; internal/host implements it.
type AddressSource interface {
	// Announcement reads the present addresses and groups. It may be slow.
	Announcement(ctx context.Context) (Announcement, error)
	// AskNeighbours makes the adapter's stack confirm every neighbour that it knows.
	AskNeighbours(ctx context.Context) error
}

// Announcement lists the addresses and groups of the adapter and the links on it.
type Announcement struct {
	Addresses []Address
	Groups    []GroupReport
}

// Address is an address of the adapter or of a VLAN on it.
type Address struct {
	IP     netip.Addr
	MAC    frame.MAC // zero: the adapter's
	VLAN   uint16    // 0: untagged
	Router bool      // IPv6: this host forwards
}

// Announce returns the frame that announces a at mac: gratuitous ARP, or an unsolicited neighbour advertisement.
func (a Address) Announce(mac frame.MAC) []byte {
	if ip := a.IP.Unmap(); ip.Is4() {
		return frame.GratuitousARP(mac, ip, a.VLAN)
	}
	return frame.UnsolicitedNA(mac, a.IP.WithZone(""), a.Router, a.VLAN)
}

// GroupReport has the multicast groups of one family that one address reports.
type GroupReport struct {
	Source  netip.Addr // may be zero
	VLAN    uint16     // 0: untagged
	Version int        // of IGMP or MLD; 0: the newest
	Groups  []netip.Addr
}

const (
	// announceBatch frames at once, then announcePause: 4096 stations are announced in 64 ms, without filling
	// the member's queue.
	announceBatch = 64
	announcePause = time.Millisecond
)

// announcement is a request to announce.
type announcement struct {
	tell       modes.Tell
	via        []int     // members
	adapterMAC frame.MAC // of the adapter's addresses
	stations   []StationPath
	pin        func(frame.MAC) int // the member that announces a MAC; nil: by via
	count      int
	interval   time.Duration
}

// merge adds what an earlier request wanted and has not finished.
func (a announcement) merge(old announcement) announcement {
	if a.tell&modes.TellBehind == 0 {
		a.stations = old.stations
	}
	a.tell |= old.tell
	return a
}

// announcer sends announcements in its own goroutine. A new request ends the running one, so that a flapping link
// causes one stream of frames. The new one includes what was not sent yet.
type announcer struct {
	source    AddressSource
	send      func(id int, frame []byte) error
	announced func(context.Context) // called after each announcement of addresses
	log       *slog.Logger
	panics    *panics.Keeper
	wake      chan struct{}
	plan      atomic.Pointer[spread.Plan] // in force; nil: none has been

	mu      sync.Mutex
	pending *announcement // requested and not started
}

// request passes an announcement to the goroutine.
func (c *announcer) request(a announcement) {
	c.mu.Lock()
	if c.pending != nil {
		a = a.merge(*c.pending)
	}
	c.pending = &a
	c.mu.Unlock()
	c.wakeRun()
}

func (c *announcer) wakeRun() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next returns the next announcement, with what is left of one that it ended.
func (c *announcer) next(left *announcement) *announcement {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.pending
	c.pending = nil
	if a != nil && left != nil {
		both := a.merge(*left)
		return &both
	}
	return a
}

func (c *announcer) run(ctx context.Context) {
	var left *announcement
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		a := c.next(left)
		if a == nil {
			continue
		}
		left = nil
		c.panics.Do(panicAnnouncer, func() {
			if !c.announce(ctx, *a) {
				left = a
			}
		})
	}
}

// announce sends everything a.count times, until ctx ends or a new request comes. It reports whether everything was
// sent once.
func (c *announcer) announce(ctx context.Context, a announcement) bool {
	// Addresses are announced announce_count times, the rest once at least.
	if a.count == 0 {
		a.tell &^= modes.TellAddresses
	}
	for i := range max(a.count, 1) {
		if i > 0 && !c.pause(ctx, a.interval) {
			return true
		}
		var what Announcement
		if c.source != nil && (a.tell&(modes.TellAddresses|modes.TellGroups) != 0 || hasVirtualRouter(a.stations)) {
			// Read each time: addresses come and go.
			var err error
			if what, err = c.source.Announcement(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("addresses could not be read, announcing what is known", "err", err)
			}
		}
		now := a
		now.stations = c.stillBehind(a.stations)
		if c.source != nil {
			now.stations = heldRouters(now.stations, what.Addresses)
		}
		for n, s := range now.frames(what) {
			if n > 0 && n%announceBatch == 0 && !c.pause(ctx, announcePause) {
				return i > 0
			}
			if err := c.send(s.Member, s.Frame); err != nil {
				c.log.Debug("announcement not sent", "member", s.Member, "err", err)
			}
		}
		if a.tell&modes.TellAddresses != 0 {
			c.announced(ctx)
		}
		if i == 0 && a.tell&modes.TellAsk != 0 && c.source != nil {
			if err := c.source.AskNeighbours(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("neighbours are not asked, they are steered when they ask", "err", err)
			}
		}
	}
	return true
}

// stillBehind returns the stations that have not moved away since the request.
func (c *announcer) stillBehind(stations []StationPath) []StationPath {
	pl := c.plan.Load()
	if pl == nil {
		return stations
	}
	return slices.DeleteFunc(slices.Clone(stations), func(s StationPath) bool {
		_, known := slices.BinarySearch(pl.Stations, s.Station)
		return !known
	})
}

// heldRouters returns the stations without those with a virtual router's MAC of which this host has no address: another
// host is the router now, and frames for it must not be led here.
func heldRouters(stations []StationPath, held []Address) []StationPath {
	if !hasVirtualRouter(stations) {
		return stations
	}
	return slices.DeleteFunc(slices.Clone(stations), func(s StationPath) bool {
		mac := s.Station.MAC()
		_, virtual := mac.VirtualRouter()
		return virtual && !slices.ContainsFunc(held, func(a Address) bool {
			return a.MAC == mac && !a.IP.IsLinkLocalUnicast()
		})
	})
}

func hasVirtualRouter(stations []StationPath) bool {
	return slices.ContainsFunc(stations, func(s StationPath) bool {
		_, virtual := s.Station.MAC().VirtualRouter()
		return virtual
	})
}

// pause waits for d, and returns false when ctx has ended or a new request has come.
func (c *announcer) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-c.wake:
		c.wakeRun() // for run
		return false
	case <-t.C:
		return true
	}
}

// frames builds the frames: addresses first, since traffic waits for them.
func (a *announcement) frames(what Announcement) (sends []spread.Send) {
	by := func(via []int, f []byte) {
		for _, id := range via {
			if f != nil {
				sends = append(sends, spread.Send{Member: id, Frame: f})
			}
		}
	}
	if a.tell&modes.TellAddresses != 0 {
		for _, ip := range what.Addresses {
			mac, via := a.announcedMAC(ip.MAC)
			by(via, ip.Announce(mac))
		}
	}
	if a.tell&modes.TellBehind != 0 {
		for _, b := range a.stations {
			sends = append(sends, spread.Send{Member: b.Member, Frame: frame.RARP(b.Station.MAC(), b.Station.VLAN())})
		}
	}
	if a.tell&modes.TellGroups != 0 {
		for _, g := range what.Groups {
			a.groupReports(g, func(f []byte) { by(a.via, f) })
		}
	}
	return sends
}

// announcedMAC returns the MAC to announce, and by which members; zero stands for the adapter's.
func (a *announcement) announcedMAC(m frame.MAC) (frame.MAC, []int) {
	switch {
	case m == 0:
		return a.adapterMAC, a.via
	case a.pin == nil:
		return m, a.via
	}
	if id := a.pin(m); id >= 0 {
		return m, []int{id}
	}
	return m, nil
}

// groupReports builds the IGMP or MLD reports of one address. Their source is the adapter's MAC, whoever listens: the
// switch must send groups to where they are received, and learn no other MAC there.
func (a *announcement) groupReports(g GroupReport, add func([]byte)) {
	var v4, v6 []netip.Addr
	for _, ip := range g.Groups {
		if ip.Is4() {
			v4 = append(v4, ip)
		} else {
			v6 = append(v6, ip.WithZone(""))
		}
	}
	for _, f := range frame.IGMPReports(a.adapterMAC, ofFamily(g.Source, true), g.Version, v4) {
		add(tagged(f, g.VLAN))
	}
	for _, f := range frame.MLDReports(a.adapterMAC, ofFamily(g.Source, false), g.Version, v6) {
		add(tagged(f, g.VLAN))
	}
}

// ofFamily returns ip when it is of the family, else none.
func ofFamily(ip netip.Addr, v4 bool) netip.Addr {
	if ip.IsValid() && ip.Is4() == v4 {
		return ip.WithZone("")
	}
	return netip.Addr{}
}

// tagged returns an untagged frame with an 802.1Q tag.
func tagged(f []byte, vlan uint16) []byte {
	if f == nil || vlan == 0 {
		return f
	}
	b := make([]byte, 0, len(f)+4)
	b = append(b, f[:12]...)
	b = binary.BigEndian.AppendUint16(b, 0x8100)
	b = binary.BigEndian.AppendUint16(b, vlan)
	return append(b, f[12:]...)
}

// AnnouncementFrames returns the frames of one announcement, in order. what has the adapter's present addresses and
// groups.
func (o *Output) AnnouncementFrames(what Announcement) []spread.Send {
	a := announcement{tell: o.Tell, via: o.Via, adapterMAC: o.AnnounceMAC, stations: o.Stations}
	return a.frames(what)
}
