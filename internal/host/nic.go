// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// NIC is a link of this host, as `nicteam list` shows it.
type NIC struct {
	Name         string
	AltNames     []string // altnames
	Index        int      // ifindex
	MAC          frame.MAC
	PermanentMAC frame.MAC // zero if the driver has none (veth, TAP)
	Driver       string
	Bus          string // bus path, such as 0000:03:00.0; empty for virtual NICs
	Kind         string // rtnetlink's: "device", "veth", "tun", "bridge", …
	Ethernet     bool
	Loopback     bool
	WiFi         bool
	AdminUp      bool
	Carrier      bool
	SpeedBps     uint64 // 0 unknown
	Duplex       string // "full", "half" or ""
	MTU          int
	MinMTU       int // 0 unknown
	MaxMTU       int // 0 unknown
	Addresses    []netip.Prefix
	Master       string // its bridge, bond, …
	MasterKind   string
	Uppers       []string // VLANs, macvlans, … on it; only NICs, which reads all links, knows them
	Permanent    bool     // a persistent TUN/TAP device

	raw  rtnl.Object
	link netlink.Link // the same
}

// Owner describes the link's master, "" for none.
func (n NIC) Owner() string {
	if n.Master == "" {
		return ""
	}
	return n.MasterKind + " " + n.Master
}

// isMaster reports whether the link is made of others.
func (n NIC) isMaster() bool {
	return slices.Contains([]string{"bridge", "bond", "team", "vrf"}, n.Kind)
}

// CanJoin reports whether the link is of a kind that can be a member, and has no master.
func (n NIC) CanJoin() bool { return n.Ethernet && !n.Loopback && n.Master == "" && !n.isMaster() }

// Identity returns how the NIC is recognised.
func (n NIC) Identity() journal.Identity {
	return journal.Identity{Name: n.Name, Index: n.Index, MAC: n.MAC, PermanentMAC: n.PermanentMAC, Driver: n.Driver,
		Bus: n.Bus}
}

// DUPLEX_HALF and DUPLEX_FULL of linux/ethtool.h.
const (
	duplexHalf = 0
	duplexFull = 1
)

// ErrNoNIC: no such NIC.
var ErrNoNIC = errors.New("no such NIC")

// NICs lists all links of the namespace by ifindex, including the loopback.
func (h *Host) NICs() ([]NIC, error) {
	list, err := h.links()
	if err != nil {
		return nil, err
	}
	addresses, err := h.rt.Dump(unix.RTM_GETADDR, unix.AF_UNSPEC, rtnl.AddressHeaderLen)
	if err != nil {
		return nil, err
	}
	for i := range list {
		h.readDetails(&list[i])
		for _, a := range addresses {
			if a.Index() == list[i].Index {
				list[i].Addresses = append(list[i].Addresses, rtnl.AddressPrefix(a))
			}
		}
	}
	return list, nil
}

// links is NICs without the details that need an ioctl each.
func (h *Host) links() ([]NIC, error) {
	raw, err := h.rt.Dump(unix.RTM_GETLINK, unix.AF_UNSPEC, rtnl.LinkHeaderLen)
	if err != nil {
		return nil, err
	}
	list := make([]NIC, 0, len(raw))
	byIndex := map[int]int{}
	for _, o := range raw {
		n, err := nicFrom(o)
		if err != nil {
			return nil, fmt.Errorf("list links: %w", err)
		}
		byIndex[n.Index] = len(list)
		list = append(list, n)
	}
	for i := range list {
		l := list[i].link
		a := l.Attrs()
		if m, ok := byIndex[a.MasterIndex]; ok && a.MasterIndex != 0 {
			list[i].Master, list[i].MasterKind = list[m].Name, list[m].Kind
		}
		if below, ok := byIndex[lowerIndex(l)]; ok && hasLower(l) {
			list[below].Uppers = append(list[below].Uppers, a.Name)
			if list[i].limitedByLower() {
				list[i].MaxMTU = list[below].MTU
			}
		}
	}
	slices.SortFunc(list, func(a, b NIC) int { return cmp.Compare(a.Index, b.Index) })
	return list, nil
}

func nicFrom(o rtnl.Object) (NIC, error) {
	l, err := netlink.LinkDeserialize(nil, o.Serialize())
	if err != nil {
		return NIC{}, err
	}
	a := l.Attrs()
	n := NIC{
		Name: a.Name, AltNames: a.AltNames, Index: a.Index, Kind: l.Type(), MTU: a.MTU,
		MAC: frame.MACFrom(a.HardwareAddr), PermanentMAC: frame.MACFrom(a.PermHWAddr),
		Ethernet: a.EncapType == "ether", Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		AdminUp: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
		MinMTU: int(o.Get32(unix.IFLA_MIN_MTU)), MaxMTU: int(o.Get32(unix.IFLA_MAX_MTU)),
		raw: o, link: l,
	}
	if t, ok := l.(*netlink.Tuntap); ok {
		n.Kind = "tun" // as the kernel calls it
		n.Permanent = !t.NonPersist
	}
	return n, nil
}

// hasLower reports whether a link sends through a lower link of this namespace. A veth's parent is its peer, and a
// parent in another namespace has an ifindex there.
func hasLower(l netlink.Link) bool {
	switch l.Type() {
	case "veth", "tuntap", "bridge", "dummy":
		return false
	}
	a := l.Attrs()
	return lowerIndex(l) != 0 && lowerIndex(l) != a.Index && a.NetNsID < 0
}

// lowerIndex returns the ifindex of a link's lower link, 0 for none. VXLAN has an attribute of its own for it.
func lowerIndex(l netlink.Link) int {
	if v, ok := l.(*netlink.Vxlan); ok {
		return v.VtepDevIndex
	}
	return l.Attrs().ParentIndex
}

// readDetails adds what ethtool and nl80211 know.
func (h *Host) readDetails(n *NIC) {
	h.readDriver(n)
	h.readLinkType(n)
}

// readDriver adds driver and bus, which identify a NIC.
func (h *Host) readDriver(n *NIC) {
	if n.Loopback {
		return
	}
	if d, err := h.tool.DriverInfo(n.Name); err == nil {
		n.Driver = d.Driver
		if d.BusInfo != "" && d.BusInfo != "N/A" && !virtualBus(d.BusInfo) {
			n.Bus = d.BusInfo
		}
	}
}

// readLinkType adds speed, duplex, and whether it is Wi-Fi.
func (h *Host) readLinkType(n *NIC) {
	if n.Loopback {
		return
	}
	n.SpeedBps, n.Duplex = h.speed(n.Name)
	n.WiFi = n.Ethernet && h.wireless(n.Name, n.Index)
}

// virtualBus recognises what virtual drivers write in place of a bus path.
func virtualBus(s string) bool { return s == "tap" || s == "tun" }

// speed returns the link's speed and duplex; 0 and "" if unknown.
func (h *Host) speed(name string) (bps uint64, duplex string) {
	// ETHTOOL_GSET is enough: the kernel converts the link modes.
	var s ethtool.EthtoolCmd
	mbps, err := h.tool.CmdGet(&s, name)
	if err != nil {
		return 0, ""
	}
	// SPEED_UNKNOWN is −1; some drivers write 16 bits.
	if mbps != 0 && mbps != 0xffff && mbps != 0xffff_ffff {
		bps = uint64(mbps) * 1_000_000
	}
	switch s.Duplex {
	case duplexFull:
		duplex = "full"
	case duplexHalf:
		duplex = "half"
	}
	return bps, duplex
}

// nic reads one link by name, without addresses.
func (h *Host) nic(name string) (NIC, error) { return h.withDetails(h.linkNamed(name)) }

// RealName returns the name of the NIC with this name or altname; an unknown name is returned unchanged. The kernel
// keeps names and altnames unique.
func (h *Host) RealName(name string) string {
	list, err := h.links()
	if err != nil {
		return name
	}
	return realName(list, name)
}

// AltNames maps all altnames to names.
func (h *Host) AltNames() (map[string]string, error) {
	list, err := h.links()
	if err != nil {
		return nil, err
	}
	of := map[string]string{}
	for _, n := range list {
		for _, alt := range n.AltNames {
			of[alt] = n.Name
		}
	}
	return of, nil
}

func realName(list []NIC, name string) string {
	for _, n := range list {
		if slices.Contains(n.AltNames, name) {
			return n.Name
		}
	}
	return name
}

func (h *Host) nicAt(index int) (NIC, error) { return h.withDetails(h.linkAt(index)) }

func (h *Host) withDetails(n NIC, err error) (NIC, error) {
	if err == nil {
		h.readDetails(&n)
	}
	return n, err
}

// linkNamed is nic without details.
func (h *Host) linkNamed(name string) (NIC, error) {
	o, err := h.rt.LinkNamed(name)
	n, err := h.oneLink(o, err)
	if err == nil && n.Name != name { // it is an altname
		err = ErrNoNIC
	}
	if err != nil {
		return NIC{}, fmt.Errorf("NIC %s: %w", name, err)
	}
	return n, nil
}

// linkAt is nicAt without details.
func (h *Host) linkAt(index int) (NIC, error) {
	o, err := h.rt.LinkAt(index)
	n, err := h.oneLink(o, err)
	if err != nil {
		return NIC{}, fmt.Errorf("NIC with index %d: %w", index, err)
	}
	return n, nil
}

// oneLink is a link that was read alone: a host may have very many. What it takes from its master and its lower link is
// read from these.
func (h *Host) oneLink(o rtnl.Object, err error) (NIC, error) {
	if errors.Is(err, unix.ENODEV) {
		return NIC{}, ErrNoNIC
	}
	if err != nil {
		return NIC{}, err
	}
	n, err := nicFrom(o)
	if err != nil {
		return NIC{}, err
	}
	other := func(index int) (NIC, bool) {
		o, err := h.rt.LinkAt(index)
		if err != nil {
			return NIC{}, false
		}
		of, err := nicFrom(o)
		return of, err == nil
	}
	if master := n.link.Attrs().MasterIndex; master != 0 {
		if m, ok := other(master); ok {
			n.Master, n.MasterKind = m.Name, m.Kind
		}
	}
	if n.limitedByLower() && hasLower(n.link) {
		if below, ok := other(lowerIndex(n.link)); ok {
			n.MaxMTU = below.MTU
		}
	}
	return n, nil
}

// limitedByLower reports whether the NIC's MTU is at most that of its lower link, which the kernel does not report.
func (n NIC) limitedByLower() bool {
	k := n.link.Type()
	return k == "vlan" || k == "macvlan"
}

// Find looks for a NIC that went away, and may be back with another ifindex or name.
func (h *Host) Find(id journal.Identity) (NIC, error) {
	n, err := h.findIdentity(id)
	if err == nil {
		h.readLinkType(&n)
	}
	return n, err
}

// findIdentity is Find without what readLinkType adds.
func (h *Host) findIdentity(id journal.Identity) (NIC, error) {
	return h.findSame(id, journal.Identity.Same)
}

func (h *Host) findSame(id journal.Identity, same func(journal.Identity, journal.Identity) bool) (NIC, error) {
	isIt := func(n *NIC) bool {
		if n.PermanentMAC != id.PermanentMAC || n.Loopback {
			return false
		}
		h.readDriver(n)
		return same(id, n.Identity())
	}
	if n, err := h.linkAt(id.Index); err == nil && isIt(&n) {
		return n, nil // the first one of the list below
	}
	list, err := h.links()
	if err != nil {
		return NIC{}, err
	}
	// Same ifindex first: two ports of a card may share everything else.
	slices.SortStableFunc(list, func(a, b NIC) int { return -cmp.Compare(likeness(id, a), likeness(id, b)) })
	for _, n := range list {
		if isIt(&n) {
			return n, nil
		}
	}
	return NIC{}, fmt.Errorf("NIC %s (%s): %w", id.Name, cmp.Or(id.PermanentMAC, id.MAC), ErrNoNIC)
}

func likeness(id journal.Identity, n NIC) int {
	score := 0
	if n.Index == id.Index {
		score += 2
	}
	if n.Name == id.Name {
		score++
	}
	return score
}

// kernelLinkLocal is rtnl.IsKernelLinkLocal for the link's MACs.
func (n NIC) kernelLinkLocal(a rtnl.Object) bool {
	return rtnl.IsKernelLinkLocal(a, n.MAC, n.PermanentMAC)
}

// inet6 returns the link's IFLA_AF_SPEC attributes of IPv6.
func (n NIC) inet6() rtnl.Object {
	return n.raw.Nest(unix.IFLA_AF_SPEC).Nest(unix.AF_INET6)
}

// routerInfo returns what the link's routers advertised.
func (n NIC) routerInfo() journal.RouterInfo {
	o := n.inet6()
	flags := o.Get32(rtnl.IFLAInet6Flags)
	return journal.RouterInfo{Managed: flags&rtnl.IFRAManaged != 0, Other: flags&rtnl.IFRAOtherConf != 0,
		MTU: o.Get32(rtnl.IFLAInet6RAMTU)}
}

// token returns the link's IPv6 token (ip token), if one is set.
func (n NIC) token() (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(n.inet6().Get(rtnl.IFLAInet6Token))
	return a, ok && a.Is6() && !a.IsUnspecified()
}

// hasIPv6 reports whether the kernel runs IPv6 on the link.
func (n NIC) hasIPv6() bool { return n.raw.Nest(unix.IFLA_AF_SPEC).Get(unix.AF_INET6) != nil }

// NIC reads the link of that name.
func (h *Host) NIC(name string) (NIC, error) { return h.withAddresses(h.nic(name)) }

// NICAt reads the link of that ifindex.
func (h *Host) NICAt(index int) (NIC, error) { return h.withAddresses(h.nicAt(index)) }

// LinkAt is NICAt without driver, bus, speed and Wi-Fi.
func (h *Host) LinkAt(index int) (NIC, error) { return h.withAddresses(h.linkAt(index)) }

func (h *Host) withAddresses(n NIC, err error) (NIC, error) {
	if err != nil {
		return NIC{}, err
	}
	list, err := h.rt.Addresses(n.Index)
	if err != nil {
		return NIC{}, err
	}
	for _, a := range list {
		n.Addresses = append(n.Addresses, rtnl.AddressPrefix(a))
	}
	return n, nil
}
