// SPDX-License-Identifier: MIT

package masquerade

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

// tupleAttr is a tuple as ctnetlink prints it.
func tupleAttr(kind uint16, t tuple, more ...rtnl.Attribute) rtnl.Attribute {
	src, dst := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if t.src.Is6() {
		src, dst = ctaIPv6Src, ctaIPv6Dst
	}
	proto := []rtnl.Attribute{rtnl.Attr(ctaProtoNum, []byte{t.proto})}
	if t.srcPort != nil {
		proto = append(proto, rtnl.Attr(ctaProtoSrcPort, t.srcPort), rtnl.Attr(ctaProtoDstPort, t.dstPort))
	}
	return nest(kind,
		nest(ctaTupleIP, rtnl.Attr(src, t.src.AsSlice()), rtnl.Attr(dst, t.dst.AsSlice())),
		nest(ctaTupleProto, append(proto, more...)...))
}

// ported is a tuple with ports.
func ported(proto byte, src, dst string) tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return tuple{src: s.Addr(), dst: d.Addr(), proto: proto,
		srcPort: binary.BigEndian.AppendUint16(nil, s.Port()), dstPort: binary.BigEndian.AppendUint16(nil, d.Port())}
}

// pair is a tuple without ports.
func pair(proto byte, src, dst string) tuple {
	return tuple{src: netip.MustParseAddr(src), dst: netip.MustParseAddr(dst), proto: proto}
}

func example(family byte, attrs ...rtnl.Attribute) connection {
	o := nfnl.NewBody(family, attrs...)
	c, err := parseConnection(o.Serialize())
	if err != nil {
		panic(err)
	}
	return c
}

const established = ipsSeenReply | ipsAssured | ipsConfirmed | 1<<4 | ipsSrcNATDone | 1<<8

// examples are connections of all kinds, masqueraded to 10.9.0.1 and fd09::1.
func examples() map[string]connection {
	icmp := func(typ, id byte) []rtnl.Attribute {
		return []rtnl.Attribute{rtnl.Attr(ctaProtoICMPID, []byte{7, id}), rtnl.Attr(5, []byte{typ}),
			rtnl.Attr(6, []byte{0})}
	}
	icmp6 := func(typ, id byte) []rtnl.Attribute {
		return []rtnl.Attribute{rtnl.Attr(ctaProtoICMPv6ID, []byte{7, id}), rtnl.Attr(8, []byte{typ}),
			rtnl.Attr(9, []byte{0})}
	}
	tcp := func(state byte) rtnl.Attribute {
		return nest(ctaProtoInfo, nest(ctaProtoInfoTCP, rtnl.Attr(1, []byte{state}), rtnl.Attr(2, []byte{7}),
			rtnl.Attr(3, []byte{9}),
			rtnl.Attr(ctaTCPFlagsOrig, []byte{0x03, 0}), rtnl.Attr(ctaTCPFlagsReply, []byte{0x03, 0})))
	}
	status, timeout := number(ctaStatus, established), number(ctaTimeout, 4000)
	master := ported(unix.IPPROTO_TCP, "10.77.0.2:2100", "192.0.2.1:21")
	return map[string]connection{
		"TCP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:4000", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:4000")), status, timeout,
			tcp(3)),
		"TCP by another port": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:4001", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:50001")), status, timeout,
			tcp(3)),
		"TCP of the host by another port": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.9.0.1:4002", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:50002")), status, timeout,
			tcp(4)),
		"TCP of the host, unchanged": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.9.0.1:4006", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:4006")),
			number(ctaStatus, established&^(1<<4)), timeout, tcp(3)),
		"TCP that asks": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:4003", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:4003")),
			number(ctaStatus, ipsConfirmed|1<<4|1<<7|1<<8), number(ctaTimeout, 100), tcp(1)),
		"TCP to a translated server": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:4004", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.9:8080", "10.9.0.1:50004")),
			number(ctaStatus, established|1<<5), timeout, tcp(3)),
		"TCP, marked, in a zone": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:4005", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:80", "10.9.0.1:4005")), status, timeout,
			tcp(3),
			number(ctaMark, 0xcafe), rtnl.Attr(ctaZone, []byte{0, 9})),
		"FTP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, master),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:21", "10.9.0.1:2100")),
			number(ctaStatus, established|1<<6|1<<13), timeout, tcp(3), nest(ctaHelp, text(1, "ftp")),
			nest(ctaSeqAdjOrig, number(1, 100), number(2, 3), number(3, 4)),
			nest(ctaSeqAdjReply, number(1, 100), number(2, 0), number(3, 0))),
		"data of FTP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "10.77.0.2:2101", "192.0.2.1:20")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "192.0.2.1:20", "10.9.0.1:2101")),
			number(ctaStatus, established|1), timeout, tcp(3), tupleAttr(ctaTupleMaster, master)),
		"UDP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_UDP, "10.77.0.2:4000", "192.0.2.1:53")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_UDP, "192.0.2.1:53", "10.9.0.1:4000")), status, timeout),
		"SCTP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_SCTP, "10.77.0.2:4000", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_SCTP, "192.0.2.1:80", "10.9.0.1:4000")), status, timeout,
			nest(ctaProtoInfo, nest(3, rtnl.Attr(1, []byte{4}), number(2, 77), number(3, 78)))),
		"UDP-Lite": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_UDPLITE, "10.77.0.2:4000", "192.0.2.1:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_UDPLITE, "192.0.2.1:80", "10.9.0.1:4000")), status, timeout),
		"GRE": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_GRE, "10.77.0.2:5", "192.0.2.1:6")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_GRE, "192.0.2.1:6", "10.9.0.1:5")), status, timeout),
		"ESP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, pair(unix.IPPROTO_ESP, "10.77.0.2", "192.0.2.1")),
			tupleAttr(ctaTupleReply, pair(unix.IPPROTO_ESP, "192.0.2.1", "10.9.0.1")), status, timeout),
		"ICMP": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, pair(unix.IPPROTO_ICMP, "10.77.0.2", "192.0.2.1"), icmp(8, 1)...),
			tupleAttr(ctaTupleReply, pair(unix.IPPROTO_ICMP, "192.0.2.1", "10.9.0.1"), icmp(0, 1)...),
			number(ctaStatus, established&^ipsAssured), timeout),
		"ICMP by another id": example(unix.AF_INET,
			tupleAttr(ctaTupleOrig, pair(unix.IPPROTO_ICMP, "10.77.0.2", "192.0.2.1"), icmp(8, 2)...),
			tupleAttr(ctaTupleReply, pair(unix.IPPROTO_ICMP, "192.0.2.1", "10.9.0.1"), icmp(0, 99)...), status,
			timeout),
		"TCP by IPv6": example(unix.AF_INET6,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_TCP, "[fd77::2]:4000", "[fd01::1]:80")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_TCP, "[fd01::1]:80", "[fd09::1]:50000")), status, timeout,
			tcp(3)),
		"UDP by IPv6 to a translated server": example(unix.AF_INET6,
			tupleAttr(ctaTupleOrig, ported(unix.IPPROTO_UDP, "[fd77::2]:4000", "[fd01::1]:53")),
			tupleAttr(ctaTupleReply, ported(unix.IPPROTO_UDP, "[fd01::2]:5353", "[fd09::1]:4000")),
			number(ctaStatus, established|1<<5), timeout),
		"ICMPv6": example(unix.AF_INET6,
			tupleAttr(ctaTupleOrig, pair(unix.IPPROTO_ICMPV6, "fd77::2", "fd01::1"), icmp6(128, 1)...),
			tupleAttr(ctaTupleReply, pair(unix.IPPROTO_ICMPV6, "fd01::1", "fd09::1"), icmp6(129, 3)...), status,
			timeout),
	}
}

// plain is a connection as far as it is to be the same afterwards: not its id, counters and use, the seconds left, and
// what the kernel adds to what was said.
func plain(c connection) rtnl.Object {
	o := nfnl.NewBody(c.Family())
	o.CopyFrom(c.Object, ctaTupleOrig, ctaTupleReply, ctaMark, ctaZone, ctaHelp, ctaTupleMaster, ctaSeqAdjOrig,
		ctaSeqAdjReply, ctaLabels)
	for i := range o.Attrs {
		o.Attrs[i].Kind &= rtnl.KindMask
	}
	info, _ := liberal(c.Get(ctaProtoInfo))
	info = bytes.ReplaceAll(info, []byte{0x0b, 0xff}, []byte{0x0b, 0})
	o.Set(ctaProtoInfo, info)
	o.Set(ctaStatus, binary.BigEndian.AppendUint32(nil, c.status()))
	slices.SortFunc(o.Attrs, func(a, b rtnl.Attribute) int { return int(a.Kind) - int(b.Kind) })
	o.Attrs = slices.DeleteFunc(o.Attrs, func(a rtnl.Attribute) bool {
		return len(a.Value) == 0 || a.Kind == ctaMark && bytes.Equal(a.Value, make([]byte, 4))
	})
	return o
}

// TestConnectionsAreTheSame has connections of all kinds made, made anew by carrying them over, and compares what the
// kernel then has.
func TestConnectionsAreTheSame(t *testing.T) {
	w := newNATWorld(t)
	labtest.Must(t, w.box.Do(func() error {
		n, err := nfnl.Open()
		labtest.Must(t, err)
		defer n.Close()
		for _, name := range []string{"FTP", "data of FTP"} { // the master first
			w.make(t, n, name)
		}
		for name := range examples() {
			if name != "FTP" && name != "data of FTP" {
				w.make(t, n, name)
			}
		}
		return nil
	}))
	before := w.plain(t)
	if len(before) != len(examples()) {
		t.Fatalf("%d of %d connections were made", len(before), len(examples()))
	}
	for name, c := range examples() {
		if d := cmp.Diff(plain(c), before[c.key()], cmp.AllowUnexported(rtnl.Object{}, rtnl.Attribute{})); d != "" {
			t.Errorf("%s is not made as it was said (-said +made):\n%s", name, d)
		}
	}
	c := w.rebind(t, "10.9.0.1/24", "fd09::1/64")
	if note := c.Close(); note != "" || c.count != len(before) {
		t.Errorf("carried %d of %d: %s", c.count, len(before), note)
	}
	after := w.plain(t)
	for name, c := range examples() {
		if d := cmp.Diff(before[c.key()], after[c.key()],
			cmp.AllowUnexported(rtnl.Object{}, rtnl.Attribute{})); d != "" {
			t.Errorf("%s (-before +after):\n%s", name, d)
		}
	}
}

// make makes an example.
func (w *natWorld) make(t *testing.T, n *nfnl.Conn, name string) {
	t.Helper()
	body, err := examples()[name].toCreate()
	labtest.Must(t, err)
	errs, err := n.Batch([]nfnl.Message{{Kind: ctNew, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, Body: body}})
	labtest.Must(t, err)
	if errs[0] != nil {
		t.Errorf("make %s: %v", name, errs[0])
	}
}

// plain lists box's connections by their keys.
func (w *natWorld) plain(t *testing.T) map[string]rtnl.Object {
	t.Helper()
	out := map[string]rtnl.Object{}
	labtest.Must(t, w.box.Do(func() error {
		n, err := nfnl.Open()
		labtest.Must(t, err)
		defer n.Close()
		list, err := connectionsBy(n, []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")})
		for _, c := range list {
			out[c.key()] = plain(c)
		}
		return err
	}))
	return out
}

// FuzzConnection reads what may come as a connection. What can be read can be made anew: its translations lead where
// its reply comes from, and what is said can be read again.
func FuzzConnection(f *testing.F) {
	for _, c := range examples() {
		f.Add(c.Serialize())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConnection(b)
		if err != nil {
			return
		}
		body, err := c.toCreate()
		if err != nil {
			return
		}
		again, err := parseConnection(body.Serialize())
		if err != nil {
			t.Fatalf("what is made of it cannot be read: %v", err)
		}
		if again.orig.src != c.orig.src || again.orig.dst != c.orig.dst ||
			!bytes.Equal(again.orig.srcPort, c.orig.srcPort) {
			t.Errorf("original %v became %v", c.orig, again.orig)
		}
		if again.reply.src != c.orig.dst || again.reply.dst != c.orig.src ||
			!bytes.Equal(again.reply.srcPort, c.orig.dstPort) || !bytes.Equal(again.reply.dstPort, c.orig.srcPort) {
			t.Errorf("reply to %v is %v before it is translated", again.orig, again.reply)
		}
		to, err := rtnl.ParseNestedStrict(body.Get(ctaNATSrc))
		if err != nil || !slices.Equal(slices.Concat(to.Get(ctaNATv4Min), to.Get(ctaNATv6Min)), c.reply.dst.AsSlice()) {
			t.Errorf("translated to %v instead of %v (%v)", to, c.reply.dst, err)
		}
		if toDelete := c.toDelete(); toDelete.Get(ctaTupleOrig) == nil {
			t.Error("would delete all connections") // what no tuple means to the kernel
		}
	})
}
