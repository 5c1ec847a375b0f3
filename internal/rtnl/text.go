// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Texts of objects are in the form that iproute2 prints and takes (man 8 ip-address, ip-route, ip-rule).

// words collects the words of a text.
type words []string

func (w *words) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (w words) String() string { return strings.Join(w, " ") }

// AddressName writes what tells an address of a link from others: "10.0.0.1/24", "10.0.0.1 peer 10.0.0.2/32".
func AddressName(a Object) string {
	prefix := AddressPrefix(a)
	if local, far := a.Get(unix.IFA_LOCAL), a.Get(unix.IFA_ADDRESS); local != nil && far != nil {
		if p, ok := netip.AddrFromSlice(far); ok && p != prefix.Addr() {
			return fmt.Sprintf("%v peer %v", prefix.Addr(), netip.PrefixFrom(p, prefix.Bits()))
		}
	}
	return prefix.String()
}

// AddressText writes an address without what the kernel decides, such as lifetimes: "10.0.0.1/24 metric 50".
func AddressText(a Object) string {
	w := words{AddressName(a)}
	if metric := a.Get32(IFAMetric); metric != 0 {
		w.add("metric %d", metric)
	}
	if scope := a.Head[3]; scope != unix.RT_SCOPE_UNIVERSE && a.Family() == unix.AF_INET {
		w.add("scope %s", scopeName(scope))
	}
	if AddressFlags(a)&unix.IFA_F_NOPREFIXROUTE != 0 {
		w.add("noprefixroute")
	}
	return w.String()
}

// AddressArguments is AddressText with all that `ip address add` needs to make the same address.
func AddressArguments(a Object) string {
	w := words{AddressText(a)}
	if b, ok := netip.AddrFromSlice(a.Get(unix.IFA_BROADCAST)); ok {
		w.add("broadcast %s", b)
	}
	if AddressFlags(a)&unix.IFA_F_NODAD != 0 {
		w.add("nodad")
	}
	if preferred, valid := Lifetimes(a); valid != Forever {
		w.add("valid_lft %d preferred_lft %d", valid, min(preferred, valid))
	}
	return w.String()
}

func scopeName(scope byte) string {
	switch scope {
	case unix.RT_SCOPE_UNIVERSE:
		return "global"
	case unix.RT_SCOPE_SITE:
		return "site"
	case unix.RT_SCOPE_LINK:
		return "link"
	case unix.RT_SCOPE_HOST:
		return "host"
	case unix.RT_SCOPE_NOWHERE:
		return "nowhere"
	}
	return strconv.Itoa(int(scope))
}

var routeTypes = map[byte]string{unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast",
	unix.RTN_MULTICAST: "multicast", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable",
	unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw", unix.RTN_NAT: "nat"}

// routeProtocols are the names of iproute2's rt_protos; boot is what a route has without one.
var routeProtocols = map[byte]string{unix.RTPROT_UNSPEC: "unspec", unix.RTPROT_REDIRECT: "redirect",
	unix.RTPROT_KERNEL: "kernel", unix.RTPROT_STATIC: "static", unix.RTPROT_GATED: "gated", unix.RTPROT_RA: "ra",
	unix.RTPROT_MRT: "mrt", unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_DNROUTED: "dnrouted",
	unix.RTPROT_XORP: "xorp", unix.RTPROT_NTK: "ntk", unix.RTPROT_DHCP: "dhcp", unix.RTPROT_BGP: "bgp",
	unix.RTPROT_ISIS: "isis", unix.RTPROT_OSPF: "ospf", unix.RTPROT_RIP: "rip", unix.RTPROT_EIGRP: "eigrp"}

// RouteArguments writes a route as `ip route` prints and takes it. name returns the name of a link; "" leaves it out.
func RouteArguments(r Object, name func(index int) string) string {
	var w words
	if kind, ok := routeTypes[r.Head[rtType]]; ok {
		w.add("%s", kind)
	}
	w.add("%s", destinationText(r))
	if src, ok := netip.AddrFromSlice(r.Get(unix.RTA_SRC)); ok {
		w.add("from %s", netip.PrefixFrom(src, int(r.Head[rtSrcLen])))
	}
	if tos := r.Head[rtTOS]; tos != 0 {
		w.add("tos %#x", tos)
	}
	if id := r.Get32(RTANexthopID); id != 0 {
		w.add("nhid %d", id)
	}
	w.hop(r, name)
	switch table := RouteTable(r); table {
	case unix.RT_TABLE_MAIN:
	case unix.RT_TABLE_LOCAL:
		w.add("table local")
	case unix.RT_TABLE_DEFAULT:
		w.add("table default")
	default:
		w.add("table %d", table)
	}
	if p := r.Head[rtProto]; p != unix.RTPROT_BOOT {
		name, ok := routeProtocols[p]
		if !ok {
			name = strconv.Itoa(int(p))
		}
		w.add("proto %s", name)
	}
	if scope := r.Head[rtScope]; scope != unix.RT_SCOPE_UNIVERSE {
		w.add("scope %s", scopeName(scope))
	}
	if src, ok := netip.AddrFromSlice(r.Get(unix.RTA_PREFSRC)); ok {
		w.add("src %s", src)
	}
	if metric := r.Get32(unix.RTA_PRIORITY); metric != 0 {
		w.add("metric %d", metric)
	}
	if binary.NativeEndian.Uint32(r.Head[rtFlags:])&unix.RTNH_F_ONLINK != 0 {
		w.add("onlink")
	}
	w.metrics(r.Nest(unix.RTA_METRICS))
	for _, n := range NextHops(r.Get(unix.RTA_MULTIPATH)) {
		hop := ParseNested(n[nextHopLen:])
		hop.Head = r.Head
		hop.Set32(unix.RTA_OIF, uint32(NextHopLink(n)))
		w.add("nexthop")
		w.hop(hop, name)
		w.add("weight %d", int(n[3])+1)
		if n[2]&unix.RTNH_F_ONLINK != 0 {
			w.add("onlink")
		}
	}
	return w.String()
}

func destinationText(r Object) string {
	d := Destination(r)
	switch {
	case r.Get(unix.RTA_DST) == nil && d.Bits() == 0:
		return "default"
	case d.IsSingleIP():
		return d.Addr().String()
	}
	return d.String()
}

// hop writes the gateway and the link of a route or of one of its hops.
func (w *words) hop(r Object, name func(int) string) {
	if r.Get(unix.RTA_ENCAP) != nil {
		w.add("encap …")
	}
	if gw, ok := netip.AddrFromSlice(r.Get(unix.RTA_GATEWAY)); ok {
		w.add("via %s", gw)
	}
	if via := r.Get(unix.RTA_VIA); len(via) >= 2 {
		if gw, ok := netip.AddrFromSlice(via[2:]); ok {
			w.add("via inet6 %s", gw)
		}
	}
	if v := r.Get(unix.RTA_OIF); len(v) >= 4 {
		if dev := name(int(binary.NativeEndian.Uint32(v))); dev != "" {
			w.add("dev %s", dev)
		}
	}
}

// routeMetrics are the names of RTAX_* attributes that are numbers. hoplimit is what a router advertised, which the
// kernel keeps itself.
var routeMetrics = []string{"", "", "mtu", "window", "", "", "ssthresh", "cwnd", "advmss", "reordering", "hoplimit",
	"initcwnd", "features", "", "initrwnd", "quickack"}

const (
	rtaxLock = 1
	rtaxCC   = 16
)

func (w *words) metrics(m Object) {
	locked := m.Get32(rtaxLock)
	for i, name := range routeMetrics {
		if name == "" || m.Get(uint16(i)) == nil {
			continue
		}
		if locked&(1<<i) != 0 {
			name += " lock"
		}
		w.add("%s %d", name, m.Get32(uint16(i)))
	}
	if cc := m.Text(rtaxCC); cc != "" {
		w.add("congctl %s", cc)
	}
}

// Attributes of rules that x/sys does not name.
const (
	fraIPProto = 22 // FRA_IP_PROTO
	fraSPort   = 23 // FRA_SPORT_RANGE
	fraDPort   = 24 // FRA_DPORT_RANGE
)

// RulePriority returns the rule's priority.
func RulePriority(r Object) uint32 { return r.Get32(unix.FRA_PRIORITY) }

// RuleArguments writes a rule as `ip rule` prints and takes it, without its priority and who made it.
func RuleArguments(r Object) string {
	var w words
	if IsInverted(r) {
		w.add("not")
	}
	w.add("from %s", prefixOr(r.Get(unix.FRA_SRC), r.Head[rtSrcLen], "all"))
	if to := prefixOr(r.Get(unix.FRA_DST), r.Head[rtDstLen], ""); to != "" {
		w.add("to %s", to)
	}
	if tos := r.Head[rtTOS]; tos != 0 {
		w.add("tos %#x", tos)
	}
	mark, mask := r.Get32(unix.FRA_FWMARK), r.Get32(unix.FRA_FWMASK)
	switch {
	case mask != 0 && mask != ^uint32(0):
		w.add("fwmark %#x/%#x", mark, mask)
	case mark != 0:
		w.add("fwmark %#x", mark)
	}
	for _, n := range []struct {
		kind uint16
		name string
	}{{unix.FRA_IIFNAME, "iif"}, {fraOutName, "oif"}} {
		if link := r.Text(n.kind); link != "" {
			w.add("%s %s", n.name, link)
		}
	}
	if v := r.Get(unix.FRA_UID_RANGE); len(v) >= 8 {
		w.add("uidrange %d-%d", binary.NativeEndian.Uint32(v), binary.NativeEndian.Uint32(v[4:]))
	}
	if v := r.Get(fraIPProto); len(v) == 1 {
		w.add("ipproto %d", v[0])
	}
	w.ports("sport", r.Get(fraSPort))
	w.ports("dport", r.Get(fraDPort))
	switch {
	case slices.Equal(r.Get(unix.FRA_L3MDEV), []byte{1}):
		w.add("lookup [l3mdev-table]")
	case r.Head[rtType] == unix.FR_ACT_TO_TBL:
		w.add("lookup %s", tableName(ruleTable(r)))
		if v := r.Get32(unix.FRA_SUPPRESS_PREFIXLEN); r.Get(unix.FRA_SUPPRESS_PREFIXLEN) != nil && v != ^uint32(0) {
			w.add("suppress_prefixlength %d", v)
		}
	case r.Head[rtType] == unix.FR_ACT_GOTO:
		w.add("goto %d", r.Get32(unix.FRA_GOTO))
	case r.Head[rtType] == unix.FR_ACT_NOP:
		w.add("nop")
	default:
		w.add("%s", routeTypes[r.Head[rtType]])
	}
	return w.String()
}

func (w *words) ports(name string, v []byte) {
	if len(v) < 4 {
		return
	}
	low, high := binary.NativeEndian.Uint16(v), binary.NativeEndian.Uint16(v[2:])
	if low == high {
		w.add("%s %d", name, low)
		return
	}
	w.add("%s %d-%d", name, low, high)
}

func ruleTable(r Object) uint32 {
	if v := r.Get(unix.FRA_TABLE); v != nil {
		return r.Get32(unix.FRA_TABLE)
	}
	return uint32(r.Head[rtTable])
}

func tableName(table uint32) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.FormatUint(uint64(table), 10)
}

// prefixOr writes an address with its prefix length, as iproute2 does; or, if there is none, other.
func prefixOr(b []byte, bits byte, other string) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return other
	}
	if int(bits) == a.BitLen() {
		return a.String()
	}
	return netip.PrefixFrom(a, int(bits)).String()
}
