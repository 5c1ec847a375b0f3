// SPDX-License-Identifier: MIT

package host

import (
	"maps"
	"sync/atomic"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// prober queries single links by ioctl. It neither allocates nor locks, because the link watch queries every member
// each 10 ms.
type prober struct {
	fd atomic.Int32 // -1: closed

	// The ioctl needs a name. Names are cached only while somebody reads link events (listeners > 0), and every event
	// invalidates them.
	listeners atomic.Int32
	events    atomic.Uint64
	names     atomic.Pointer[nameCache]
}

// nameCache maps ifindexes to names. It is valid until the event count changes.
type nameCache struct {
	events uint64
	of     map[int][unix.IFNAMSIZ]byte
}

// invalidate invalidates the name cache.
func (p *prober) invalidate() { p.events.Add(1) }

// name returns the name of a link.
func (p *prober) name(index int) (name [unix.IFNAMSIZ]byte, ok bool) {
	events, kept := p.events.Load(), p.names.Load()
	valid := kept != nil && kept.events == events && p.listeners.Load() > 0
	if valid {
		if name, ok = kept.of[index]; ok {
			return name, true
		}
	}
	req := ifreqIndex{index: int32(index)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd.Load()), getName, uintptr(unsafe.Pointer(&req))); e != 0 {
		return name, false
	}
	if p.listeners.Load() > 0 {
		more := map[int][unix.IFNAMSIZ]byte{}
		if valid {
			maps.Copy(more, kept.of)
		}
		more[index] = req.name
		p.names.Store(&nameCache{events, more})
	}
	return req.name, true
}

func openProber() (*prober, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p := &prober{}
	p.fd.Store(int32(fd))
	return p, nil
}

func (p *prober) close() {
	if fd := p.fd.Swap(-1); fd >= 0 {
		unix.Close(int(fd))
	}
}

// ifreq is struct ifreq with a pointer in its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ifreqIndex is struct ifreq with an index in its union.
type ifreqIndex struct {
	name  [unix.IFNAMSIZ]byte
	index int32
	_     [20]byte
}

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

const (
	ethtoolGetLink = 0xa    // ETHTOOL_GLINK
	getName        = 0x8910 // SIOCGIFNAME
	wirelessName   = 0x8b01 // SIOCGIWNAME
)

// carrier reports whether the NIC is up and has carrier according to its driver. The kernel delays link events of most
// NICs by up to a second (net/core/link_watch.c).
func (p *prober) carrier(index int) bool {
	name, ok := p.name(index)
	if !ok {
		return false
	}
	value := ethtoolValue{command: ethtoolGetLink}
	req := ifreq{name: name, data: unsafe.Pointer(&value)}
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd.Load()), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if e == unix.EOPNOTSUPP {
		return p.running(name)
	}
	return e == 0 && value.data != 0
}

// running serves the few drivers without ETHTOOL_GLINK.
func (p *prober) running(name [unix.IFNAMSIZ]byte) bool {
	req := struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: name}
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd.Load()), unix.SIOCGIFFLAGS, uintptr(unsafe.Pointer(&req)))
	return e == 0 && req.flags&unix.IFF_UP != 0 && req.flags&unix.IFF_RUNNING != 0
}

// wireless reports whether the wireless extensions know the NIC.
func (p *prober) wireless(nic string) bool {
	var req ifreq
	copy(req.name[:unix.IFNAMSIZ-1], nic)
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd.Load()), wirelessName, uintptr(unsafe.Pointer(&req)))
	return e == 0
}

// wireless reports whether the NIC is a Wi-Fi NIC. Old drivers answer an ioctl of the wireless extensions. nl80211
// knows the others: kernels may lack the extensions, and Wi-Fi 7 NICs have none.
func (h *Host) wireless(name string, index int) bool {
	return h.probe.wireless(name) || h.known80211(index)
}

// noWireless reports whether the kernel's module for Wi-Fi is not loaded, as on most hosts: to ask for nl80211 costs
// more. False where sysfs does not tell.
func noWireless() bool {
	return unix.Access("/sys/class/ieee80211", unix.F_OK) == unix.ENOENT &&
		unix.Access("/sys/class/net", unix.F_OK) == nil
}

// known80211 reports whether nl80211 has the interface. It has all Wi-Fi NICs and no others.
func (h *Host) known80211(index int) bool {
	if noWireless() {
		return false
	}
	family, err := h.rt.Handle.GenlFamilyGet(unix.NL80211_GENL_NAME)
	if err != nil {
		return false // a kernel without Wi-Fi
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(&nl.Genlmsg{Command: unix.NL80211_CMD_GET_INTERFACE})
	req.AddData(nl.NewRtAttr(unix.NL80211_ATTR_IFINDEX, nl.Uint32Attr(uint32(index))))
	answers, err := req.Execute(unix.NETLINK_GENERIC, 0)
	return err == nil && len(answers) > 0
}
