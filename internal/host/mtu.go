package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// MinMTUIPv6 is the smallest MTU of a link with IPv6 (RFC 8200, section 5).
const MinMTUIPv6 = 1280

// AutoMTU is the MTU that an adapter gets when nobody names one: the largest of the NICs that have addresses, whose
// connections must go on as they are; of all NICs where none has. The others come to it.
func AutoMTU(nics []NIC) int {
	mtu, used := 0, false
	for _, n := range nics {
		switch uses := n.inUse(); {
		case uses && !used:
			mtu, used = n.MTU, true
		case uses == used:
			mtu = max(mtu, n.MTU)
		}
	}
	return mtu
}

// inUse reports whether the NIC has an address other than the one that the kernel gives every NIC.
func (n NIC) inUse() bool {
	return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool {
		return p.Addr().Is4() || !p.Addr().IsLinkLocalUnicast()
	})
}

// takesMTU reports whether the NIC says that it can have that MTU. Not all drivers say what they can.
func (n NIC) takesMTU(mtu int) bool {
	return (n.MinMTU == 0 || mtu >= n.MinMTU) && (n.MaxMTU == 0 || mtu <= n.MaxMTU)
}

// mtu checks the MTU that the adapter and all its members are to have.
func (c *check) mtu() *api.Problem {
	if c.cfg.MTU != 0 {
		return c.givenMTU()
	}
	mtu := AutoMTU(c.chosen)
	for _, n := range c.chosen {
		if n.takesMTU(mtu) {
			continue
		}
		p := &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot have MTU %d", n.Name, mtu),
			Why: fmt.Sprintf("%s has it, and %s takes %d to %d", c.nicsOf(mtu), n.Name, n.MinMTU, n.MaxMTU),
			Fix: fmt.Sprintf("leave %s out, or have all use less, which breaks connections with larger frames: --mtu %d",
				n.Name, n.MaxMTU)}
		if c.mtuForIPv6(n.MaxMTU) != nil {
			p.Fix = fmt.Sprintf("leave %s out: IPv6, which the adapter gets, needs at least %d", n.Name, MinMTUIPv6)
		}
		return p
	}
	if p := c.mtuForIPv6(mtu); p != nil {
		return p
	}
	for _, n := range c.chosen {
		if n.MTU != mtu {
			c.warnings = append(c.warnings, comesTo(n, mtu, c.nicsOf(mtu))+" (--mtu N chooses another for all)")
		}
	}
	return nil
}

// nicsOf names the NICs that have an MTU, those in use if there are any.
func (c *check) nicsOf(mtu int) string {
	var used, all []string
	for _, n := range c.chosen {
		if n.MTU == mtu {
			all = append(all, n.Name)
			if n.inUse() {
				used = append(used, n.Name)
			}
		}
	}
	if len(used) > 0 {
		return list(used)
	}
	return list(all)
}

// givenMTU checks one that the user named.
func (c *check) givenMTU() *api.Problem {
	mtu := c.cfg.MTU
	for _, n := range c.chosen {
		if !n.takesMTU(mtu) {
			return badMTU(mtu, fmt.Sprintf("NIC %s takes %d to %d", n.Name, n.MinMTU, n.MaxMTU),
				fmt.Sprintf("--mtu %d", min(max(mtu, n.MinMTU), n.MaxMTU)))
		}
	}
	if p := c.mtuForIPv6(mtu); p != nil {
		return p
	}
	for _, n := range c.chosen {
		if n.inUse() && n.MTU > mtu {
			c.warnf("the MTU of %s goes from %d to %d: connections whose other ends send larger frames stand still", n.Name, n.MTU, mtu)
		}
	}
	return nil
}

// mtuForIPv6 refuses an MTU with which the kernel would turn IPv6 off, where the adapter would have it.
func (c *check) mtuForIPv6(mtu int) *api.Problem {
	if mtu >= MinMTUIPv6 {
		return nil
	}
	have := c.futureAddresses()
	if c.cfg.Address == settings.AddressAuto {
		for _, n := range c.chosen {
			if n.inUse() {
				have = append(have, n.Addresses...) // the adapter has a link-local one of its own where they have
			}
		}
	}
	for _, p := range have {
		if p.Addr().Is6() {
			return badMTU(mtu, fmt.Sprintf("IPv6 needs at least %d, and the adapter gets %s", MinMTUIPv6, p),
				fmt.Sprintf("--mtu %d; or do without IPv6 first: sysctl -w net.ipv6.conf.NIC.disable_ipv6=1", MinMTUIPv6))
		}
	}
	return nil
}

// memberMTU checks what a NIC that joins will have: the MTU of the running team's adapter.
func (c *check) memberMTU() *api.Problem {
	c.h.mu.Lock()
	a, ok := c.h.adapter()
	c.h.mu.Unlock()
	if !ok {
		return nil
	}
	for _, n := range c.chosen {
		if !n.takesMTU(a.MTU) {
			return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot have MTU %d", n.Name, a.MTU),
				Why: fmt.Sprintf("%s has it, and %s takes %d to %d", a.Name, n.Name, n.MinMTU, n.MaxMTU),
				Fix: fmt.Sprintf("nicteam set %s mtu=%d first, which breaks connections with larger frames", c.cfg.Team, n.MaxMTU)}
		}
		if n.MTU != a.MTU {
			c.warnings = append(c.warnings, comesTo(n, a.MTU, a.Name))
		}
	}
	return nil
}

// comesTo says that a NIC gets the MTU of others.
func comesTo(n NIC, mtu int, others string) string {
	return fmt.Sprintf("the MTU of %s goes from %d to %d, as %s has; its switch port must carry such frames",
		n.Name, n.MTU, mtu, others)
}

func badMTU(mtu int, why, fix string) *api.Problem {
	return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("bad MTU %d", mtu), Why: why, Fix: fix}
}

// twins refuses NICs with one MAC where each sends with its own: a switch knows one port for a MAC. Elsewhere it warns of them.
func (c *check) twins() *api.Problem {
	own := c.cfg.Mode == modes.ELB && c.cfg.Balance
	by := map[frame.MAC]string{}
	for _, n := range slices.Concat(c.joined, c.chosen) {
		if name, ok := by[n.MAC]; ok && name != n.Name && !own {
			c.warnf("%s and %s have one MAC, %v: in the team all NICs send with one, but outside of it they take each other's traffic", name, n.Name, n.MAC)
		} else if ok && name != n.Name {
			return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("%s and %s have one MAC, %v", name, n.Name, n.MAC),
				Why: fmt.Sprintf("in mode %v each NIC sends with its own, and a switch sends what is for a MAC to one port only",
					c.cfg.Mode),
				Fix: fmt.Sprintf("give one another, ip link set %s address MAC, or choose a mode with one MAC for all: "+
					"--mode active-backup", n.Name)}
		}
		by[n.MAC] = n.Name
	}
	return nil
}

// LinkFacts are what is looked at after each change of a link.
type LinkFacts struct {
	Name string
	MAC  frame.MAC
	MTU  int
	Up   bool // administratively
}

// Facts reads a link; the error is ErrNoNIC for one that is gone.
func (h *Host) Facts(index int) (LinkFacts, error) {
	l, err := h.rt.Handle.LinkByIndex(index)
	if err != nil {
		if errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
			err = ErrNoNIC
		}
		return LinkFacts{}, fmt.Errorf("read link %d: %w", index, err)
	}
	a := l.Attrs()
	return LinkFacts{Name: a.Name, MAC: frame.MACFrom(a.HardwareAddr), MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0}, nil
}

// SetMTU gives the adapter and the members another MTU, or none of them. While they differ the members' is never the
// smaller one, so no frame is too large for its member. Members are changed one after the other, each once the one
// before has its link again; came, when not nil, is called after each, while others may use h. The error is a *api.Problem where nothing was
// tried.
func (h *Host) SetMTU(adapter, mtu int, came func()) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return err
	}
	a, err := h.rt.Handle.LinkByIndex(adapter)
	if err != nil {
		return fmt.Errorf("set MTU: %w", err)
	}
	if p := h.keepsIPv6(a, mtu); p != nil {
		return p
	}
	var links []netlink.Link
	members := map[netlink.Link]*journal.MemberState{}
	for _, m := range j.State.Members {
		if !m.Stripped {
			continue
		}
		l, n, err := h.link(m)
		if err != nil {
			continue
		}
		if !n.takesMTU(mtu) {
			return badMTU(mtu, fmt.Sprintf("NIC %s takes %d to %d", n.Name, n.MinMTU, n.MaxMTU),
				fmt.Sprintf("choose one that all NICs take, or remove %s first", n.Name))
		}
		links, members[l] = append(links, l), m
	}
	if mtu > a.Attrs().MTU { // the adapter last
		links = append(links, a)
	} else {
		links = append([]netlink.Link{a}, links...)
	}
	for i, l := range links {
		err := h.rt.SetMTU(l, mtu)
		if err == nil && l != a {
			err = h.keepIPv6Off(l, members[l], mtu)
			if i+1 < len(links) && links[i+1] != a && l.Attrs().MTU != mtu {
				h.awaitLink(l)
			}
			if came != nil {
				h.apart(came)
			}
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return errors.Join(err, h.backToMTUs(links[:i+1]))
		}
	}
	return nil
}

const (
	// resetBegins is how soon after a change a NIC that begins anew has no link.
	resetBegins = 100 * time.Millisecond
	// resetTime bounds the wait until it has one again. Copper takes two to four seconds to agree.
	resetTime = 5 * time.Second
)

// awaitLink waits until a NIC has a link again that had one: many drivers begin anew with another MTU, and not all
// members are to be without a link at once.
func (h *Host) awaitLink(was netlink.Link) {
	a := was.Attrs()
	if a.RawFlags&unix.IFF_LOWER_UP == 0 {
		return
	}
	linked := func() bool { return h.probe.carrier(a.Index) }
	for end := time.Now().Add(resetBegins); linked() && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	for end := time.Now().Add(resetTime); !linked() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// backToMTUs gives links the MTU that they had when they were read.
func (h *Host) backToMTUs(links []netlink.Link) error {
	var errs []error
	for _, was := range slices.Backward(links) {
		l, err := h.rt.Handle.LinkByIndex(was.Attrs().Index)
		if err == nil {
			err = h.rt.SetMTU(l, was.Attrs().MTU)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// keepsIPv6 refuses an MTU with which the adapter would lose the IPv6 addresses that it has.
func (h *Host) keepsIPv6(a netlink.Link, mtu int) *api.Problem {
	if mtu >= MinMTUIPv6 {
		return nil
	}
	have, err := h.rt.Addresses(a.Attrs().Index)
	if err != nil {
		return nil // what cannot be read is not known to be lost
	}
	for _, o := range have {
		if o.Family() == unix.AF_INET6 {
			name := a.Attrs().Name
			return badMTU(mtu, fmt.Sprintf("IPv6 needs at least %d, and %s has %s", MinMTUIPv6, name, rtnl.AddressPrefix(o)),
				fmt.Sprintf("choose %d or more, or do without IPv6 first: sysctl -w net.ipv6.conf.%s.disable_ipv6=1",
					MinMTUIPv6, name))
		}
	}
	return nil
}

// keepIPv6Off turns IPv6 off again on a member that came from l's MTU to mtu: with IPv6's minimum the kernel begins
// IPv6 anew, with the defaults of this host.
func (h *Host) keepIPv6Off(l netlink.Link, m *journal.MemberState, mtu int) error {
	if l.Attrs().MTU >= MinMTUIPv6 || mtu < MinMTUIPv6 {
		return nil
	}
	if err := h.silenceIPv6(l.Attrs().Name, l.Attrs().Index); err != nil {
		return err
	}
	return h.unlessReadOnly(h.restoreFamily(l.Attrs().Name, &m.Member, "ipv6/"))
}
