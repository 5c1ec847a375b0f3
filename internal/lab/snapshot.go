// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Snapshot is a host's network state as lines in a stable order: links, addresses, routes of every table, rules,
// permanent neighbours, proxies, queueing disciplines and filters with all their attributes, sysctls, ethtool features,
// eBPF programs and the nftables rule set. Counters and time stamps are left out.
type Snapshot []string

// Diff returns the lines that only one snapshot has, those of before with a minus; "" when they are equal.
func Diff(before, after Snapshot) string {
	var out []string
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		switch {
		case j == len(after) || i < len(before) && before[i] < after[j]:
			out = append(out, "- "+before[i])
			i++
		case i == len(before) || after[j] < before[i]:
			out = append(out, "+ "+after[j])
			j++
		default:
			i++
			j++
		}
	}
	return strings.Join(out, "\n")
}

// TakeSnapshot reads the state of a host.
func TakeSnapshot(h *Host) (Snapshot, error) {
	t := snapshotter{names: map[uint32]string{}}
	err := h.Do(func() error {
		t.sysctls()
		return errors.Join(t.links(), t.dumps(), t.perLink())
	})
	if err == nil {
		err = t.nft(h)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", h.Name, err)
	}
	slices.Sort(t.lines)
	return t.lines, nil
}

// SettledSnapshot waits until the kernel has nothing pending, such as duplicate address detection or a carrier change,
// and reads the state then.
func SettledSnapshot(ctx context.Context, h *Host) (Snapshot, error) {
	last, err := pending(h)
	for ; err == nil; err = sleep(ctx, 100*time.Millisecond) {
		s, err := pending(h)
		if err != nil {
			return nil, err
		}
		if Diff(last, s) == "" && !s.tentative() {
			all, err := TakeSnapshot(h)
			if err != nil {
				return nil, err
			}
			if s, err = pending(h); err != nil {
				return nil, err
			}
			if Diff(last, s) == "" {
				return all, nil
			}
		}
		last = s
	}
	return nil, err
}

// pending reads the part of a host's state that the kernel changes by itself.
func pending(h *Host) (Snapshot, error) {
	t := snapshotter{names: map[uint32]string{}}
	if err := h.Do(func() error { return errors.Join(t.links(), t.dumps()) }); err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", h.Name, err)
	}
	slices.Sort(t.lines)
	return t.lines, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s Snapshot) tentative() bool {
	return slices.ContainsFunc(s, func(line string) bool {
		_, flags, ok := strings.Cut(line, " flags 0x")
		if !ok || !strings.HasPrefix(line, "address ") {
			return false
		}
		flags, _, _ = strings.Cut(flags, " ")
		n, _ := strconv.ParseUint(flags, 16, 32)
		return n&unix.IFA_F_TENTATIVE != 0 && n&unix.IFA_F_DADFAILED == 0
	})
}

// snapshotter collects lines, on a thread in the host's namespace.
type snapshotter struct {
	lines []string
	names map[uint32]string // of devices by ifindex
}

func (t *snapshotter) add(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *snapshotter) name(index uint32) string {
	if n, ok := t.names[index]; ok {
		return n
	}
	return fmt.Sprintf("device %d", index)
}

// dump lists all objects of a kind. A change during the dump restarts it.
func dump(kind int, head nl.NetlinkRequestData, answer uint16) (msgs [][]byte, err error) {
	for range 10 {
		req := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
		req.AddData(head)
		msgs, err = req.Execute(unix.NETLINK_ROUTE, answer)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return msgs, err
		}
	}
	return msgs, err
}

func (t *snapshotter) links() error {
	msgs, err := dump(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), unix.RTM_NEWLINK)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	for _, m := range msgs {
		head := nl.DeserializeIfInfomsg(m)
		attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return fmt.Errorf("read link: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_IFNAME {
				t.names[uint32(head.Index)] = text(a.Value)
			}
		}
		t.add("link %s index %d type %d flags %#x", t.name(uint32(head.Index)), head.Index, head.Type, head.Flags)
		for _, a := range attrs {
			if line, ok := linkAttr(a.Attr.Type, a.Value); ok {
				t.add("link %s %s", t.name(uint32(head.Index)), line)
			}
		}
	}
	return nil
}

// linkAttr formats one attribute of a link, unless it changes by itself.
func linkAttr(kind uint16, value []byte) (string, bool) {
	kind &^= unix.NLA_F_NESTED
	switch kind {
	case unix.IFLA_STATS, unix.IFLA_STATS64, unix.IFLA_CARRIER_CHANGES, unix.IFLA_CARRIER_UP_COUNT,
		unix.IFLA_CARRIER_DOWN_COUNT, unix.IFLA_MAP, unix.IFLA_IFNAME:
		return "", false
	case unix.IFLA_ADDRESS:
		return "address " + net.HardwareAddr(value).String(), true
	case unix.IFLA_MTU:
		return fmt.Sprintf("mtu %d", number(value)), true
	case unix.IFLA_PROMISCUITY:
		return fmt.Sprintf("promiscuity %d", number(value)), true
	case unix.IFLA_ALLMULTI:
		return fmt.Sprintf("allmulti %d", number(value)), true
	case unix.IFLA_QDISC:
		return "qdisc " + text(value), true
	case unix.IFLA_OPERSTATE:
		return fmt.Sprintf("operstate %d", number(value)), true
	case unix.IFLA_LINKINFO:
		attrs, _ := nl.ParseRouteAttr(value)
		for _, a := range attrs {
			if a.Attr.Type == nl.IFLA_INFO_KIND {
				return "kind " + text(a.Value), true
			}
		}
		return "", false
	case unix.IFLA_AF_SPEC:
		return "ipv6 " + inet6Spec(value), true
	}
	return fmt.Sprintf("attribute %d: %s", kind, hex.EncodeToString(value)), true
}

// inet6Spec omits counters and timers.
func inet6Spec(value []byte) string {
	var out []string
	families, _ := nl.ParseRouteAttr(value)
	for _, f := range families {
		if f.Attr.Type&^unix.NLA_F_NESTED != unix.AF_INET6 {
			continue
		}
		attrs, _ := nl.ParseRouteAttr(f.Value)
		for _, a := range attrs {
			switch a.Attr.Type {
			case unix.IFLA_INET6_ADDR_GEN_MODE:
				out = append(out, fmt.Sprintf("addrgenmode %d", number(a.Value)))
			case unix.IFLA_INET6_TOKEN:
				out = append(out, "token "+address(a.Value))
			}
		}
	}
	return strings.Join(out, " ")
}

func (t *snapshotter) sysctls() {
	b := make([]byte, 4096)
	for _, family := range []string{"ipv4", "ipv6", "core", "netfilter"} {
		t.sysctlsIn("net/"+family, b)
	}
}

// sysctlsIn reads those in a directory, and in those in it, with as few system calls as can be: a host has a thousand.
func (t *snapshotter) sysctlsIn(dir string, b []byte) {
	// A device may vanish, and a kernel may lack a family.
	entries, _ := os.ReadDir("/proc/sys/" + dir)
	for _, e := range entries {
		key := dir + "/" + e.Name()
		if e.IsDir() {
			t.sysctlsIn(key, b)
			continue
		}
		if strings.HasSuffix(key, "_count") || strings.HasSuffix(key, "/sched_debug") {
			continue
		}
		fd, err := unix.Open("/proc/sys/"+key, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // write-only
		}
		n, err := unix.Read(fd, b) // all of it: a sysctl is not read in parts
		unix.Close(fd)
		if err != nil {
			continue // without a value, such as stable_secret
		}
		t.add("sysctl %s = %s", key, strings.Join(strings.Fields(string(b[:n])), " "))
	}
}

// perLink reads the properties that need a request for each device.
func (t *snapshotter) perLink() error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	for index, name := range t.names {
		features, err := e.Features(name)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("read features of %s: %w", name, err)
		}
		for f, on := range features {
			t.add("feature %s %s %v", name, f, on)
		}
		for what, at := range map[string]ebpf.AttachType{"ingress": ebpf.AttachTCXIngress,
			"egress": ebpf.AttachTCXEgress} {
			if err := t.programs(index, what, at); err != nil {
				return err
			}
		}
		for _, parent := range []uint32{0, 0xffff_0000, 0xffff_fff2, 0xffff_fff3, 0x0001_0000} {
			if err := t.filters(index, parent); err != nil {
				return err
			}
		}
	}
	return nil
}

// programs lists a device's tcx programs in their order; kernels before 6.6 have none.
func (t *snapshotter) programs(index uint32, hook string, at ebpf.AttachType) error {
	got, err := link.QueryPrograms(link.QueryOptions{Target: int(index), Attach: at})
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list programs of %s: %w", t.name(index), err)
	}
	for i, p := range got.Programs {
		t.add("bpf %s tcx %s %d: program %d %q", t.name(index), hook, i, p.ID, programName(p.ID))
	}
	return nil
}

func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "" // it may just have been unloaded
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

func (t *snapshotter) nft(h *Host) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil
	}
	out, err := h.Command("nft", "-s", "list", "ruleset").Output()
	if err != nil {
		return fmt.Errorf("list nftables rules: %w", err)
	}
	for n, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		if len(line) > 0 {
			t.add("nft %04d %s", n, line)
		}
	}
	return nil
}

func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }

// number reads 1, 2, 4 or 8 octets of the host's order.
func number(b []byte) (n uint64) {
	order := nl.NativeEndian()
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	case 8:
		return order.Uint64(b)
	}
	return 0
}

// address formats an IP address, or other octets in hex.
func address(b []byte) string {
	if a, ok := netip.AddrFromSlice(b); ok {
		return a.String()
	}
	return hex.EncodeToString(b)
}
