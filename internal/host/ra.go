// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

const (
	maxLifetime = 65535
	// maxOptions bounds the options of an advertisement, so that it fits IPv6's minimum MTU.
	maxOptions = 32
)

const (
	// raTimeout bounds the wait for the kernel to accept an advertisement: IPv6 starts a moment after the carrier.
	raTimeout = 500 * time.Millisecond
	// formTimeout bounds it if only an address is missing: the kernel may form another one.
	formTimeout = 50 * time.Millisecond
	// noCarrierTimeout bounds it on a link without carrier, where IPv6 does not start.
	noCarrierTimeout = 100 * time.Millisecond
)

// noRouter is the source of an advertisement without router. Its router lifetime is 0, so it causes no default route.
var noRouter = netip.MustParseAddr("fe80::ffff:ffff:ffff:ffff")

// raFrames returns advertisements that say what raState says: one or more for each router.
func raFrames(l raState, macs map[netip.Addr]frame.MAC) [][]byte {
	var order []netip.Addr
	by := map[netip.Addr]*frame.RouterAdvert{}
	from := func(router netip.Addr) *frame.RouterAdvert {
		if by[router] == nil {
			order = append(order, router)
			by[router] = &frame.RouterAdvert{From: router, MAC: macs[router], Managed: l.info.Managed,
				Other: l.info.Other, MTU: l.info.MTU}
		}
		return by[router]
	}
	for _, r := range l.routes {
		if rtnl.RouteBits(r) == 0 && rtnl.Gateway(r).IsValid() {
			a := from(rtnl.Gateway(r))
			a.Lifetime = uint16(min(rtnl.RouteLifetime(r), maxLifetime))
			a.Preference, a.HopLimit = rtnl.RouterPreference(r), rtnl.HopLimit(r)
		}
	}
	anybody := func() *frame.RouterAdvert {
		if len(order) == 0 {
			return from(noRouter)
		}
		return from(order[0])
	}
	for _, r := range l.routes {
		left := rtnl.RouteLifetime(r)
		switch {
		case rtnl.RouteBits(r) == 0 && rtnl.Gateway(r).IsValid():
		case rtnl.Gateway(r).IsValid():
			a := from(rtnl.Gateway(r))
			a.Routes = append(a.Routes, frame.AdvertisedRoute{Prefix: rtnl.Destination(r),
				Preference: rtnl.RouterPreference(r), Lifetime: left})
		default:
			a := anybody()
			a.Prefixes = append(a.Prefixes, frame.AdvertisedPrefix{Prefix: rtnl.Destination(r), OnLink: true,
				Valid: left, Preferred: left})
		}
	}
	for _, o := range l.addresses {
		preferred, valid := rtnl.Lifetimes(o)
		a := anybody()
		a.Prefixes = append(a.Prefixes, frame.AdvertisedPrefix{
			Prefix: rtnl.AddressPrefix(o).Masked(), Autonomous: true, Valid: valid, Preferred: min(preferred, valid)})
	}
	var frames [][]byte
	for _, router := range order {
		all := *by[router]
		for first := true; first || len(all.Prefixes)+len(all.Routes) > 0; first = false {
			part := all
			n := min(len(all.Prefixes), maxOptions)
			part.Prefixes, all.Prefixes = all.Prefixes[:n], all.Prefixes[n:]
			n = min(len(all.Routes), maxOptions-n)
			part.Routes, all.Routes = all.Routes[:n], all.Routes[n:]
			frames = append(frames, part.Frame())
		}
	}
	return frames
}

// raState is what a link learns from router advertisements.
type raState struct {
	routes    []rtnl.Object
	addresses []rtnl.Object // addresses to be formed
	info      journal.RouterInfo
}

// applyRAState makes a link learn what the kernel learned on another link: by injected advertisements. What the kernel
// does not accept, as on a link without carrier, is added directly: routes with the flags of learned ones, addresses
// that RefreshFromRAs refreshes.
func (h *Host) applyRAState(to NIC, l raState) error {
	if len(l.routes)+len(l.addresses) == 0 {
		return nil
	}
	if err := h.faultPoint("inject a router advertisement into " + to.Name); err != nil {
		return err
	}
	left, err := h.injectRAs(to, l)
	if err != nil {
		return err
	}
	for _, r := range left.routes {
		if err := h.rt.AddAdvertisedRoute(r, to.Index); err != nil {
			return err
		}
	}
	for _, a := range left.addresses {
		// The prefix's route is not this address's.
		if err := h.rt.AddAddress(rtnl.AddressRequest(a, to.Index, unix.IFA_F_NOPREFIXROUTE), to.Name); err != nil {
			return err
		}
	}
	return nil
}

// injectRAs injects advertisements until the link has learned, and returns what it has not.
func (h *Host) injectRAs(to NIC, l raState) (left raState, err error) {
	macs, err := h.routerMACs(to.Index)
	if err != nil {
		return l, err
	}
	if !acceptsRAs(to.Name) {
		return h.missingRAState(to, l)
	}
	frames := raFrames(l, macs)
	inject, err := newInjector()
	if err != nil {
		h.log.Debug("no router advertisement injected", "nic", to.Name, "err", err)
		return h.missingRAState(to, l)
	}
	defer inject.close()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		for _, f := range frames {
			if err := inject.receive(to.Index, f); err != nil {
				h.log.Debug("no router advertisement injected", "nic", to.Name, "err", err)
				return h.missingRAState(to, l)
			}
		}
		left, err := h.missingRAState(to, l)
		waited := time.Since(begun)
		patience := raTimeout
		switch {
		case len(left.routes)+len(left.addresses) == 0:
			patience = 0
		case len(left.routes) == 0:
			patience = formTimeout
		case !h.probe.carrier(to.Index):
			patience = noCarrierTimeout
		}
		if err != nil || waited >= patience {
			return left, err
		}
	}
}

// acceptsRAs reports whether the kernel accepts router advertisements on a link (ipv6_accept_ra in net/ipv6/ndisc.c).
func acceptsRAs(nic string) bool {
	accept, ok := readSysctl(nic, "ipv6/accept_ra")
	return ok && accept != "0" && (accept == "2" || !forwardsIPv6(nic))
}

// missingRAState returns the part that the link does not have.
func (h *Host) missingRAState(to NIC, l raState) (raState, error) {
	all, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return l, err
	}
	have, err := h.rt.Addresses(to.Index)
	if err != nil {
		return l, err
	}
	mine := rtnl.RoutesVia(all, to.Index)
	return raState{
		routes: slices.DeleteFunc(slices.Clone(l.routes),
			func(r rtnl.Object) bool { return rtnl.HasAdvertised(mine, r) }),
		addresses: slices.DeleteFunc(slices.Clone(l.addresses),
			func(a rtnl.Object) bool { return rtnl.HasAddress(have, a) }),
		info: l.info,
	}, nil
}

// routerMACs returns the known MACs of a link's routers.
func (h *Host) routerMACs(index int) (map[netip.Addr]frame.MAC, error) {
	list, err := h.rt.LearnedNeighbours(index)
	if err != nil {
		return nil, err
	}
	macs := map[netip.Addr]frame.MAC{}
	for _, n := range list {
		if b := n.Get(unix.NDA_LLADDR); len(b) == 6 {
			macs[rtnl.NeighbourAddr(n)] = frame.MACAt(b, 0)
		}
	}
	return macs, nil
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta uint32
	IngressIndex, RxQueue   uint32
	EgressIndex             uint32
}

// injector injects frames into the host's stack as if a link had received them. The kernel runs an XDP program that
// passes them, without attaching it.
type injector struct{ pass *ebpf.Program }

func newInjector() (*injector, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "nicteam_pass", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	return &injector{p}, nil
}

func (i *injector) close() { i.pass.Close() }

// receive injects one frame as received by the link of that ifindex.
func (i *injector) receive(index int, frame []byte) error {
	_, err := i.pass.Run(&ebpf.RunOptions{
		Data:    frame,
		Context: xdpContext{DataEnd: uint32(len(frame)), IngressIndex: uint32(index)},
		Repeat:  1,
		Flags:   liveFrames,
	})
	if err != nil {
		return fmt.Errorf("inject a frame: %w", err)
	}
	return nil
}

const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES, Linux ≥ 5.18
	xdpPass    = 2      // XDP_PASS
)
