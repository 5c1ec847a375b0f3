// SPDX-License-Identifier: MIT

package masquerade

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

// Attributes of ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig   = 1
	ctaTupleReply  = 2
	ctaStatus      = 3
	ctaProtoInfo   = 4
	ctaHelp        = 5
	ctaNATSrc      = 6
	ctaTimeout     = 7
	ctaMark        = 8
	ctaID          = 12
	ctaNATDst      = 13
	ctaTupleMaster = 14
	ctaSeqAdjOrig  = 15
	ctaSeqAdjReply = 16
	ctaZone        = 18
	ctaLabels      = 22
	ctaSynproxy    = 24
	ctaStatusMask  = 26

	ctaTupleIP    = 1 // in a tuple
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum      = 1
	ctaProtoSrcPort  = 2
	ctaProtoDstPort  = 3
	ctaProtoICMPID   = 4
	ctaProtoICMPv6ID = 7

	ctaNATv4Min = 1 // in CTA_NAT_SRC and CTA_NAT_DST
	ctaNATv4Max = 2
	ctaNATProto = 3
	ctaNATv6Min = 4
	ctaNATv6Max = 5

	ctaNATPortMin = 1
	ctaNATPortMax = 2

	ctaProtoInfoTCP  = 1
	ctaTCPFlagsOrig  = 4
	ctaTCPFlagsReply = 5
	tcpFlagBeLiberal = 0x08
)

// Bits of a connection's status (linux/netfilter/nf_conntrack_common.h).
const (
	ipsSeenReply    = 1 << 1
	ipsAssured      = 1 << 2
	ipsConfirmed    = 1 << 3
	ipsSrcNATDone   = 1 << 7 // source NAT is decided
	ipsDying        = 1 << 9
	ipsFixedTimeout = 1 << 10
	ipsOffload      = 1<<14 | 1<<15 // in a flowtable, in software or hardware
)

var errConnection = errors.New("malformed conntrack entry")

// A connection is a tracked connection as ctnetlink prints it.
type connection struct {
	rtnl.Object
	orig, reply tuple
}

// tuple is one direction of a connection. The reply has the addresses on the wire: its destination is the translated
// address.
type tuple struct {
	src, dst         netip.Addr
	proto            byte
	srcPort, dstPort []byte // two bytes each; nil for protocols without ports
	id               []byte // of an ICMP echo, else nil
}

func parseConnection(b []byte) (connection, error) {
	o, err := rtnl.ParseObject(b, nfnl.HeaderLen)
	if err != nil {
		return connection{}, err
	}
	c := connection{Object: o}
	if c.orig, err = parseTuple(o.Get(ctaTupleOrig)); err != nil {
		return connection{}, err
	}
	if c.reply, err = parseTuple(o.Get(ctaTupleReply)); err != nil {
		return connection{}, err
	}
	if c.orig.src.Is4() != c.reply.src.Is4() || (c.orig.srcPort == nil) != (c.reply.srcPort == nil) {
		return connection{}, errConnection
	}
	return c, nil
}

func parseTuple(b []byte) (t tuple, err error) {
	outer, err := rtnl.ParseNestedStrict(b)
	if err != nil {
		return t, err
	}
	ip, err := rtnl.ParseNestedStrict(outer.Get(ctaTupleIP))
	if err != nil {
		return t, err
	}
	proto, err := rtnl.ParseNestedStrict(outer.Get(ctaTupleProto))
	if err != nil {
		return t, err
	}
	src, dst := ip.Get(ctaIPv4Src), ip.Get(ctaIPv4Dst)
	if src == nil {
		src, dst = ip.Get(ctaIPv6Src), ip.Get(ctaIPv6Dst)
	}
	var ok1, ok2 bool
	t.src, ok1 = netip.AddrFromSlice(src)
	t.dst, ok2 = netip.AddrFromSlice(dst)
	number := proto.Get(ctaProtoNum)
	if !ok1 || !ok2 || len(src) != len(dst) || len(number) != 1 {
		return t, errConnection
	}
	t.proto = number[0]
	t.srcPort, t.dstPort, t.id = proto.Get(ctaProtoSrcPort), proto.Get(ctaProtoDstPort), proto.Get(ctaProtoICMPID)
	if t.id == nil {
		t.id = proto.Get(ctaProtoICMPv6ID)
	}
	for _, v := range [][]byte{t.srcPort, t.dstPort, t.id} {
		if v != nil && len(v) != 2 {
			return t, errConnection
		}
	}
	if (t.srcPort == nil) != (t.dstPort == nil) {
		return t, errConnection
	}
	return t, nil
}

func (c connection) status() uint32 { return c.GetBE32(ctaStatus) }

// key identifies a connection.
func (c connection) key() string { return string(c.Get(ctaTupleOrig)) + string(c.Get(ctaZone)) }

// toDelete returns the body that deletes exactly this connection, by its id.
func (c connection) toDelete() rtnl.Object {
	o := nfnl.NewBody(c.Family())
	o.CopyFrom(c.Object, ctaTupleOrig, ctaZone, ctaID)
	return o
}

// toFind returns the body that queries the connection of this tuple.
func (c connection) toFind() rtnl.Object {
	o := nfnl.NewBody(c.Family())
	o.CopyFrom(c.Object, ctaTupleOrig, ctaZone)
	return o
}

// toCreate returns the body that creates the connection again, without the masquerade's interface. Counters, start
// time, security context and timeout policy are lost: user space cannot set them.
func (c connection) toCreate() (rtnl.Object, error) {
	o := nfnl.NewBody(c.Family())
	o.CopyFrom(c.Object, ctaTupleOrig)
	before, err := c.replyBefore()
	if err != nil {
		return rtnl.Object{}, err
	}
	o.Set(ctaTupleReply|unix.NLA_F_NESTED, before)
	src := c.reply.dstPort
	if src == nil {
		src = c.reply.id
	}
	o.Set(ctaNATSrc|unix.NLA_F_NESTED, translation(c.reply.dst, src))
	if c.reply.src != c.orig.dst || !slices.Equal(c.reply.srcPort, c.orig.dstPort) {
		o.Set(ctaNATDst|unix.NLA_F_NESTED, translation(c.reply.src, c.reply.srcPort))
	}
	status := c.status()&(ipsSeenReply|ipsAssured|ipsFixedTimeout) | ipsConfirmed
	o.Set(ctaStatus, binary.BigEndian.AppendUint32(nil, status))
	o.CopyFrom(c.Object, ctaTimeout, ctaZone, ctaMark, ctaLabels, ctaHelp, ctaTupleMaster, ctaSeqAdjOrig,
		ctaSeqAdjReply, ctaSynproxy)
	info, err := liberal(c.Get(ctaProtoInfo))
	if err != nil {
		return rtnl.Object{}, err
	}
	if info != nil {
		o.Set(ctaProtoInfo|unix.NLA_F_NESTED, info)
	}
	return o, nil
}

// replyBefore returns the reply's tuple without translation, because the kernel translates what it gets.
func (c connection) replyBefore() ([]byte, error) {
	outer, err := rtnl.ParseNestedStrict(c.Get(ctaTupleReply))
	if err != nil {
		return nil, err
	}
	var ip, proto rtnl.Object
	if ip, err = rtnl.ParseNestedStrict(outer.Get(ctaTupleIP)); err != nil {
		return nil, err
	}
	if proto, err = rtnl.ParseNestedStrict(outer.Get(ctaTupleProto)); err != nil {
		return nil, err
	}
	src, dst := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if c.orig.src.Is6() {
		src, dst = ctaIPv6Src, ctaIPv6Dst
	}
	ip.Set(src, c.orig.dst.AsSlice())
	ip.Set(dst, c.orig.src.AsSlice())
	if c.orig.srcPort != nil {
		proto.Set(ctaProtoSrcPort, c.orig.dstPort)
		proto.Set(ctaProtoDstPort, c.orig.srcPort)
	}
	for _, kind := range []uint16{ctaProtoICMPID, ctaProtoICMPv6ID} {
		if proto.Get(kind) != nil && c.orig.id != nil {
			proto.Set(kind, c.orig.id)
		}
	}
	outer.Set(ctaTupleIP, ip.Serialize())
	outer.Set(ctaTupleProto, proto.Serialize())
	return outer.Serialize(), nil
}

// translation returns CTA_NAT_SRC or CTA_NAT_DST for an address, and a port or echo id.
func translation(to netip.Addr, port []byte) []byte {
	lowest, highest := uint16(ctaNATv4Min), uint16(ctaNATv4Max)
	if to.Is6() {
		lowest, highest = ctaNATv6Min, ctaNATv6Max
	}
	list := []rtnl.Attribute{rtnl.Attr(lowest, to.AsSlice()), rtnl.Attr(highest, to.AsSlice())}
	if port != nil {
		list = append(list, rtnl.Attr(ctaNATProto|unix.NLA_F_NESTED,
			rtnl.AppendAttributes(nil, []rtnl.Attribute{rtnl.Attr(ctaNATPortMin, port),
				rtnl.Attr(ctaNATPortMax, port)})))
	}
	return rtnl.AppendAttributes(nil, list)
}

// liberal returns the protocol state with TCP window checks off: the windows cannot be restored.
func liberal(info []byte) ([]byte, error) {
	if info == nil {
		return nil, nil
	}
	outer, err := rtnl.ParseNestedStrict(info)
	if err != nil {
		return nil, err
	}
	tcp := outer.Get(ctaProtoInfoTCP)
	if tcp == nil {
		return info, nil
	}
	inner, err := rtnl.ParseNestedStrict(tcp)
	if err != nil {
		return nil, err
	}
	for _, kind := range []uint16{ctaTCPFlagsOrig, ctaTCPFlagsReply} {
		flags := byte(tcpFlagBeLiberal)
		if v := inner.Get(kind); len(v) > 0 {
			flags |= v[0]
		}
		inner.Set(kind, []byte{flags, 0xff}) // struct nf_ct_tcp_flags: flags, mask
	}
	outer.Set(ctaProtoInfoTCP, inner.Serialize())
	return outer.Serialize(), nil
}
