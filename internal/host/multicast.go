// SPDX-License-Identifier: MIT

package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/modes/spread"
)

const iflaAllMulti = 0x3d // IFLA_ALLMULTI, since Linux 6.0

// RxMode reads what the adapter's stack receives: what the kernel would program into a NIC's filters.
func (h *Host) RxMode(adapter int) (rx spread.RxMode, err error) {
	l, err := h.rt.LinkObject(adapter)
	if err != nil {
		return rx, fmt.Errorf("read flags of the adapter: %w", err)
	}
	b, err := readProc("/proc/thread-self/net/dev_mcast")
	if err != nil {
		return rx, fmt.Errorf("read multicast lists: %w", err)
	}
	flags := binary.NativeEndian.Uint32(l.Head[8:])
	rx.Promiscuous = l.Get32(unix.IFLA_PROMISCUITY) > 0 || flags&unix.IFF_PROMISC != 0
	rx.AllMulti = l.Get32(iflaAllMulti) > 0 || flags&unix.IFF_ALLMULTI != 0
	rx.Groups = parseMulticastList(b, adapter)
	// The file exists only once a VLAN was made.
	if b, err := readProc("/proc/thread-self/net/vlan/config"); err == nil {
		rx.VLANs = parseVLANs(b, string(bytes.TrimRight(l.Get(unix.IFLA_IFNAME), "\x00")))
	}
	return rx, nil
}

// readProc is os.ReadFile without the runtime's poller, whose part of it is most of the system calls.
func readProc(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4<<10)
	for {
		b = slices.Grow(b, 1<<10)
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return b, nil
		default:
			b = b[:len(b)+n]
		}
	}
}

// ReportsGroupChanges reports whether the kernel sends events for multicast groups (RTNLGRP_IPV6_MCADDR, Linux 6.14).
func ReportsGroupChanges() bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_IPV6_MCADDR) == nil
}

// parseMulticastList reads a link's multicast MACs from /proc/net/dev_mcast, sorted. Fields: index, name, references,
// permanent references, address.
func parseMulticastList(b []byte, index int) (groups []frame.MAC) {
	want := []byte(strconv.Itoa(index))
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 5 || !bytes.Equal(f[0], want) {
			continue
		}
		var mac [6]byte
		if len(f[4]) != 2*len(mac) {
			continue
		}
		if _, err := hex.Decode(mac[:], f[4]); err != nil {
			continue
		}
		if m := frame.MACAt(mac[:], 0); m.Multicast() {
			groups = append(groups, m)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// parseVLANs reports whether /proc/net/vlan/config has a VLAN on the link. After two header lines the fields are: VLAN
// device | id | link.
func parseVLANs(b []byte, link string) bool {
	for line := range bytes.Lines(b) {
		if f := bytes.Split(line, []byte("|")); len(f) == 3 && string(bytes.TrimSpace(f[2])) == link {
			return true
		}
	}
	return false
}

// listening are the multicast groups of the host's links.
type listening struct {
	groups map[string][]netip.Addr // by link
	igmp   map[string]int          // IGMP version in use, by link
}

func readListening() listening {
	l := listening{groups: map[string][]netip.Addr{}, igmp: map[string]int{}}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp"); err == nil {
		l.parseIGMP(b)
	}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp6"); err == nil {
		l.parseIGMP6(b)
	}
	return l
}

// parseIGMP reads /proc/net/igmp: a line for each link with its IGMP version, then an indented line for each group,
// whose address is the hexadecimal word in memory. A colon may follow a long link name directly.
func (l *listening) parseIGMP(b []byte) {
	nic := ""
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		line := s.Text()
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case line[0] != '\t':
			nic = strings.TrimSuffix(f[1], ":")
			if version, found := strings.CutPrefix(f[len(f)-1], "V"); found {
				l.igmp[nic], _ = strconv.Atoi(version)
			}
		default:
			raw, err := hex.DecodeString(f[0])
			if err != nil || len(raw) != 4 {
				continue
			}
			if rtnl.LittleEndian {
				slices.Reverse(raw)
			}
			if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
				l.groups[nic] = append(l.groups[nic], a)
			}
		}
	}
}

// parseIGMP6 reads /proc/net/igmp6: index, link, group, …
func (l *listening) parseIGMP6(b []byte) {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		if err != nil || len(raw) != 16 {
			continue
		}
		if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
			l.groups[f[1]] = append(l.groups[f[1]], a)
		}
	}
}
