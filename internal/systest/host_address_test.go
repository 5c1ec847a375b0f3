// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestAddressesNeverAbsent reads the rtnetlink events while a team is created and deleted: every address is on a NIC or
// the adapter at any moment, and there always is a default route.
func TestAddressesNeverAbsent(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	h := lockHolders{had: map[netip.Prefix]bool{}, held: map[netip.Prefix]map[int32]bool{}}
	c := w.changes(unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	list, err := w.box.Handle().AddrList(nil, netlink.FAMILY_ALL)
	labtest.Must(t, err)
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		bits, _ := a.Mask.Size()
		if a.Peer != nil { // a peer's prefix is the address's
			bits, _ = a.Peer.Mask.Size()
		}
		if p := netip.PrefixFrom(ip, bits); !ip.IsLinkLocalUnicast() && !ip.IsLoopback() {
			h.had[p], h.held[p] = true, map[int32]bool{int32(a.LinkIndex): true}
		}
	}
	if len(h.had) < 11 {
		t.Fatalf("only %d addresses to follow: %v", len(h.had), h.had)
	}
	var wait sync.WaitGroup
	events := 0
	wait.Go(func() {
		labtest.Check(t, c.each(func(kind uint16, body []byte) bool {
			events++
			n := len(h.lost)
			if h.event(kind, body); len(h.lost) > n && h.lost[n].Addr().Is6() && w.has(h.lost[n]) {
				// The kernel tells of a new IPv6 address after it has begun to use it.
				h.lost = h.lost[:n]
			}
			return true
		}))
	})
	stop := make(chan struct{})
	looks, without := 0, 0
	wait.Go(func() {
		for ; ; looks++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
				has, err := hasDefault(w.box.Handle(), family)
				if err == nil && !has {
					without++
				}
			}
		}
	})
	w.create(nics(3), "--mode", "active-backup")
	w.nicteam("delete", teamName)
	close(stop)
	_ = c.f.Close()
	wait.Wait()
	if len(h.lost) > 0 {
		t.Errorf("addresses were nowhere for a moment: %v", h.lost)
	}
	if without > 0 {
		t.Errorf("no default route at %d of %d looks", without, 2*looks)
	}
	t.Logf("%d addresses, %d events, %d looks at the default routes", len(h.had), events, looks)
	if events < 4*len(h.had) {
		t.Errorf("%d events cannot be the coming and going of %d addresses", events, len(h.had))
	}
	w.checkUnchanged("after delete", before)
}

// has reports whether box has an address.
func (w *world) has(p netip.Prefix) bool {
	list, err := w.box.Handle().AddrList(nil, netlink.FAMILY_V6)
	return err == nil && slices.ContainsFunc(list, func(a netlink.Addr) bool { return a.IP.Equal(p.Addr().AsSlice()) })
}

func hasDefault(h *netlink.Handle, family int) (bool, error) {
	list, err := h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	for _, r := range list {
		if r.Dst == nil {
			return true, err
		}
		if ones, _ := r.Dst.Mask.Size(); ones == 0 {
			return true, err
		}
	}
	return false, err
}

// The frames that create and delete may lose each way: a neighbour that must be resolved twice would lose a second.
// Gaps are only logged: a busy machine has its own.
const (
	survivorRate = 2000 // frames/s
	survivorLoss = survivorRate / 10
)

// TestTrafficSurvivesCreateAndDelete has a connection and streams that start before the team and end after it.
func TestTrafficSurvivesCreateAndDelete(t *testing.T) {
	w := newWorld(t, worldOptions{NICs: 2})
	program(t) // built before the clock runs
	out, err := lab.Stream{From: w.box, To: w.peer, Address: peer4, Flows: 4, Rate: survivorRate}.Start()
	labtest.Must(t, err)
	in, err := lab.Stream{From: w.peer, To: w.box, Address: box4, Flows: 4, Rate: survivorRate}.Start()
	labtest.Must(t, err)
	c := w.startEcho()

	phase := func(name string, f func()) {
		t.Helper()
		begin := time.Now()
		f()
		took := time.Since(begin)
		c.check(name)
		for way, r := range map[string]*lab.Running{"box to peer": out, "peer to box": in} {
			want := r.Received() + 200
			labtest.Eventually(t, name+": frames flow "+way, func() bool { return r.Received() >= want })
			gap, _ := r.GapWithin(begin, time.Now())
			t.Logf("%s took %v; longest gap %s %v", name, took.Round(time.Millisecond), way, gap)
		}
	}
	phase("create", func() { w.create(nics(2), "--mode", "active-backup") })
	phase("delete", func() { w.nicteam("delete", teamName) })
	for way, r := range map[string]*lab.Running{"box to peer": out, "peer to box": in} {
		report, err := r.Stop()
		labtest.Must(t, err)
		t.Logf("%s: %v", way, report)
		if report.Corrupt > 0 || report.Lost > survivorLoss || report.Duplicated > survivorLoss {
			t.Errorf("%s: %d frames lost, %d doubled, %d corrupt", way, report.Lost, report.Duplicated, report.Corrupt)
		}
	}
}
