package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// entry is a connection from src to dst that is translated to the source nat, and to the destination real if that is valid.
type entry struct {
	name                 string
	proto                byte
	src, dst, nat, real  string
	port, to, natPort    uint16 // an ICMP query's id is port
	state                byte   // of TCP
	status, mark, labels uint32
	zone                 uint16
}

func port(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// tuple is CTA_TUPLE_*.
func (e entry) tuple(src, dst string, sport, dport uint16, reply bool) []byte {
	var ip, proto, t object
	first := uint16(nl.CTA_IP_V4_SRC)
	a, b := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if a.Is6() {
		first = nl.CTA_IP_V6_SRC
	}
	ip.set(first, a.AsSlice())
	ip.set(first+1, b.AsSlice())
	proto.set(ctProtoNum, []byte{e.proto})
	echo := map[bool]byte{false: 8, true: 0}
	switch e.proto {
	case unix.IPPROTO_ICMP:
		proto.set(ctICMPID, port(e.port))
		proto.set(5, []byte{echo[reply]})
		proto.set(6, []byte{0})
	case unix.IPPROTO_ICMPV6:
		proto.set(ctICMPv6ID, port(e.port))
		proto.set(8, []byte{map[bool]byte{false: 128, true: 129}[reply]})
		proto.set(9, []byte{0})
	default:
		proto.set(ctSrcPort, port(sport))
		proto.set(ctDstPort, port(dport))
	}
	t.set(nl.CTA_TUPLE_IP|unix.NLA_F_NESTED, ip.Serialize())
	t.set(nl.CTA_TUPLE_PROTO|unix.NLA_F_NESTED, proto.Serialize())
	return t.Serialize()
}

func (e entry) add(t *testing.T) {
	t.Helper()
	family := byte(unix.AF_INET)
	if netip.MustParseAddr(e.src).Is6() {
		family = unix.AF_INET6
	}
	o := object{head: []byte{family, 0, 0, 0}}
	o.set(nl.CTA_TUPLE_ORIG|unix.NLA_F_NESTED, e.tuple(e.src, e.dst, e.port, e.to, false))
	o.set(nl.CTA_TUPLE_REPLY|unix.NLA_F_NESTED, e.tuple(e.dst, e.src, e.to, e.port, true))
	o.set(nl.CTA_STATUS, binary.BigEndian.AppendUint32(nil, e.status|1<<3)) // IPS_CONFIRMED
	o.set(nl.CTA_TIMEOUT, binary.BigEndian.AppendUint32(nil, 3000))
	o.set(nl.CTA_MARK, binary.BigEndian.AppendUint32(nil, e.mark))
	if e.zone != 0 {
		o.set(nl.CTA_ZONE, port(e.zone))
	}
	if e.labels != 0 {
		o.set(nl.CTA_LABELS, append(binary.BigEndian.AppendUint32(nil, e.labels), make([]byte, 12)...))
	}
	var id []byte
	if e.proto == unix.IPPROTO_ICMP || e.proto == unix.IPPROTO_ICMPV6 {
		id = port(e.natPort)
	}
	o.attrs = append(o.attrs, translation(ctNATSrc, netip.MustParseAddr(e.nat), port(e.natPort), id))
	if e.real != "" {
		o.attrs = append(o.attrs, translation(ctNATDst, netip.MustParseAddr(e.real), port(e.to), nil))
	}
	if e.state != 0 {
		var info, tcp object
		tcp.set(nl.CTA_PROTOINFO_TCP_STATE, []byte{e.state})
		info.set(ctTCP|unix.NLA_F_NESTED, tcp.Serialize())
		o.set(nl.CTA_PROTOINFO|unix.NLA_F_NESTED, info.Serialize())
	}
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_NEW, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(o)
	if _, err := req.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
}

// connections are all tracked ones, without what is not carried: ids, times, and whether windows are checked; and when each was made.
func connections(t *testing.T) (list, begun []string) {
	t.Helper()
	all, err := netfilterDump(unix.NFNL_SUBSYS_CTNETLINK, nl.IPCTNL_MSG_CT_GET, unix.AF_UNSPEC)
	must(t, err)
	for _, o := range all {
		begun = append(begun, fmt.Sprintf("%x", o.nest(nl.CTA_TIMESTAMP).get(1)))
		tcp := o.nest(nl.CTA_PROTOINFO).nest(ctTCP).get(nl.CTA_PROTOINFO_TCP_STATE)
		line := fmt.Sprintf("tcp %x", tcp)
		for _, kind := range []uint16{nl.CTA_TUPLE_ORIG, nl.CTA_TUPLE_REPLY, nl.CTA_STATUS, nl.CTA_MARK, nl.CTA_LABELS, nl.CTA_ZONE} {
			line += fmt.Sprintf(" %d %x", kind, o.get(kind))
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list, begun
}

// TestUnbind: each kind of connection is replaced by one that is the same but for the link it is bound to.
func TestUnbind(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; echo 1 >/proc/sys/net/netfilter/nf_conntrack_timestamp")
	const seen, assured = 1 << 1, 1 << 2
	for _, e := range []entry{
		{name: "TCP", proto: unix.IPPROTO_TCP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 4000, to: 80, natPort: 4000, state: 3, status: seen | assured, mark: 7},
		{name: "TCP by another port", proto: unix.IPPROTO_TCP, src: "172.17.0.3", dst: "10.9.0.9", nat: "10.9.0.1", port: 4000, to: 80, natPort: 4001, state: 3, status: seen | assured, labels: 1 << 24},
		{name: "TCP half open", proto: unix.IPPROTO_TCP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 4010, to: 80, natPort: 4010, state: 1},
		{name: "UDP", proto: unix.IPPROTO_UDP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 4000, to: 53, natPort: 4000, status: seen},
		{name: "SCTP", proto: unix.IPPROTO_SCTP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 4000, to: 53, natPort: 4000, status: seen},
		{name: "ICMP", proto: unix.IPPROTO_ICMP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 77, natPort: 78, status: seen},
		{name: "in a zone", proto: unix.IPPROTO_UDP, src: "172.17.0.2", dst: "10.9.0.9", nat: "10.9.0.1", port: 4000, to: 53, natPort: 4000, zone: 3},
		{name: "both ways", proto: unix.IPPROTO_TCP, src: "172.17.0.2", dst: "10.9.0.20", real: "10.9.0.9", nat: "10.9.0.1", port: 4100, to: 80, natPort: 4100, state: 3, status: seen | assured},
		{name: "TCP by IPv6", proto: unix.IPPROTO_TCP, src: "fd17::2", dst: "fd09::9", nat: "fd09::1", port: 4000, to: 80, natPort: 4005, state: 3, status: seen | assured},
		{name: "ICMPv6", proto: unix.IPPROTO_ICMPV6, src: "fd17::2", dst: "fd09::9", nat: "fd09::1", port: 77, natPort: 77, status: seen},
	} {
		e.add(t)
	}
	other := entry{name: "by another address", proto: unix.IPPROTO_UDP, src: "172.17.0.2", dst: "10.7.0.9", nat: "10.7.0.1", port: 4000, to: 53, natPort: 4000}
	other.add(t)
	before, begun := connections(t)
	if len(before) != 11 {
		t.Fatalf("%d connections: %q", len(before), before)
	}
	h := w.open(nil)
	na, err := interfaceIndex("na")
	must(t, err)
	must(t, h.unbindAddressesOf(map[int]int{na: 0}))
	after, later := connections(t)
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("connections (-before +after):\n%s", d)
	}
	same := 0
	for _, at := range begun {
		if slices.Contains(later, at) {
			same++
		}
	}
	if same != 1 {
		t.Errorf("%d connections were not made anew, want that of the other address only", same)
	}
	if warnings, p := h.Check(configOf("na", "nb"), nil, false); p != nil || len(warnings) > 0 {
		t.Errorf("a check says %v, %q", p, warnings)
	}
}

func FuzzConntrack(f *testing.F) {
	f.Add(append([]byte{2, 0, 0, 0}, entry{proto: 6}.tuple("10.0.0.1", "10.0.0.2", 1, 2, false)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b, netfilterHead)
		if err != nil {
			return
		}
		if flow, ok := flowOf(o); ok {
			unbound(o, flow).Serialize()
		}
	})
}
