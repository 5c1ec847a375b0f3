package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Connections that the host masquerades for others (containers, a LAN behind it) are bound to the link that they went out by: the
// kernel ends them when an address of that link goes, or when they come to go out by another (nf_nat_masquerade.c,
// nf_nat_oif_changed). One that came by ctnetlink with the same translation is bound to no link. So before the routes
// move each is replaced by such a one, deleted and made in one message to the kernel; and once more before the addresses go, for those
// that were begun in between.

// Attributes of linux/netfilter/nfnetlink_conntrack.h that neither nl nor x/sys has.
const (
	ctHelp       = 5
	ctNATSrc     = 6
	ctNATDst     = 13
	ctMaster     = 14
	ctSeqOrig    = 15
	ctSeqReply   = 16
	ctSynproxy   = 24
	ctIPv4Min    = 1 // CTA_NAT_V4_MINIP
	ctNATProto   = 3
	ctIPv6Min    = 4
	ctPortMin    = 1 // CTA_PROTONAT_PORT_MIN
	ctTCP        = 1 // CTA_PROTOINFO_TCP
	ctTCPFlags   = 4 // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, and of the reply behind it
	ctICMPID     = 4
	ctICMPv6ID   = 7
	ctProtoNum   = 1
	ctSrcPort    = 2
	ctDstPort    = 3
	tcpBeLiberal = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL
)

// Bits of CTA_STATUS that the kernel sets itself when it makes an entry: IPS_EXPECTED, IPS_DYING, IPS_TEMPLATE, IPS_UNTRACKED,
// IPS_OFFLOAD, IPS_HW_OFFLOAD.
const ctOwnStatus = 1<<0 | 1<<9 | 1<<11 | 1<<12 | 1<<14 | 1<<15

const conntrackCount = "/proc/sys/net/netfilter/nf_conntrack_count"

// tracked reports whether the kernel follows connections here: asking for them where it does not would load its modules.
func tracked() bool {
	b, err := os.ReadFile(conntrackCount)
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// masqueradedBy lists the connections whose source is translated to one of the addresses.
func masqueradedBy(addresses []netip.Addr) (list []object, err error) {
	if len(addresses) == 0 || !tracked() {
		return nil, nil
	}
	all, err := netfilterDump(unix.NFNL_SUBSYS_CTNETLINK, nl.IPCTNL_MSG_CT_GET, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if f, ok := flowOf(o); ok && f.source() && slices.Contains(addresses, f.reply.dst) {
			list = append(list, o)
		}
	}
	return list, nil
}

// flow is a tracked connection's two directions.
type flow struct {
	orig, reply tuple
}

// tuple is CTA_TUPLE_*: who sends to whom. id is an ICMP query's.
type tuple struct {
	src, dst         netip.Addr
	proto            byte
	srcPort, dstPort []byte
	id               []byte
}

func flowOf(o object) (f flow, ok bool) {
	var ok2 bool
	f.orig, ok = tupleOf(o.nest(nl.CTA_TUPLE_ORIG))
	f.reply, ok2 = tupleOf(o.nest(nl.CTA_TUPLE_REPLY))
	return f, ok && ok2 && f.orig.proto == f.reply.proto
}

func tupleOf(o object) (t tuple, ok bool) {
	ip, proto := o.nest(nl.CTA_TUPLE_IP), o.nest(nl.CTA_TUPLE_PROTO)
	for _, kind := range []uint16{nl.CTA_IP_V4_SRC, nl.CTA_IP_V6_SRC} {
		src, okSrc := netip.AddrFromSlice(ip.get(kind))
		dst, okDst := netip.AddrFromSlice(ip.get(kind + 1))
		if okSrc && okDst {
			t.src, t.dst, ok = src, dst, true
		}
	}
	if v := proto.get(ctProtoNum); len(v) == 1 {
		t.proto = v[0]
	}
	t.srcPort, t.dstPort = proto.get(ctSrcPort), proto.get(ctDstPort)
	if t.id = proto.get(ctICMPID); t.id == nil {
		t.id = proto.get(ctICMPv6ID)
	}
	return t, ok
}

// source and destination report what is translated.
func (f flow) source() bool {
	return f.orig.src != f.reply.dst || !bytes.Equal(f.orig.srcPort, f.reply.dstPort) || !bytes.Equal(f.orig.id, f.reply.id)
}

func (f flow) destination() bool {
	return f.orig.dst != f.reply.src || !bytes.Equal(f.orig.dstPort, f.reply.srcPort)
}

// unbound is a connection as ctnetlink is to make it anew.
func unbound(o object, f flow) object {
	n := object{head: slices.Clone(o.head)}
	for _, a := range o.attrs {
		switch a.kind & kindMask {
		case nl.CTA_TUPLE_ORIG, nl.CTA_TIMEOUT, nl.CTA_MARK, nl.CTA_LABELS, nl.CTA_ZONE, ctHelp, ctMaster, ctSeqOrig, ctSeqReply, ctSynproxy:
			n.attrs = append(n.attrs, a)
		case nl.CTA_TUPLE_REPLY:
			n.attrs = append(n.attrs, attribute{a.kind, untranslated(nested(a.value), f)})
		case nl.CTA_STATUS:
			n.attrs = append(n.attrs, attribute{a.kind, binary.BigEndian.AppendUint32(nil, o.big32(nl.CTA_STATUS)&^ctOwnStatus)})
		case nl.CTA_PROTOINFO:
			n.attrs = append(n.attrs, attribute{a.kind, liberal(nested(a.value))})
		}
	}
	if f.source() {
		n.attrs = append(n.attrs, translation(ctNATSrc, f.reply.dst, f.reply.dstPort, f.reply.id))
	}
	if f.destination() {
		n.attrs = append(n.attrs, translation(ctNATDst, f.reply.src, f.reply.srcPort, nil))
	}
	return n
}

// untranslated is the reply's tuple as it would be without translation: the kernel makes the translation of the difference.
func untranslated(reply object, f flow) []byte {
	for i, a := range reply.attrs {
		switch a.kind & kindMask {
		case nl.CTA_TUPLE_IP:
			ip := nested(a.value)
			kind := uint16(nl.CTA_IP_V4_SRC)
			if f.orig.src.Is6() {
				kind = nl.CTA_IP_V6_SRC
			}
			ip.set(kind, f.orig.dst.AsSlice())
			ip.set(kind+1, f.orig.src.AsSlice())
			reply.attrs[i].value = ip.Serialize()
		case nl.CTA_TUPLE_PROTO:
			proto := nested(a.value)
			for kind, v := range map[uint16][]byte{ctSrcPort: f.orig.dstPort, ctDstPort: f.orig.srcPort} {
				if v != nil {
					proto.set(kind, v)
				}
			}
			for _, kind := range []uint16{ctICMPID, ctICMPv6ID} {
				if proto.get(kind) != nil {
					proto.set(kind, f.orig.id)
				}
			}
			reply.attrs[i].value = proto.Serialize()
		}
	}
	return reply.Serialize()
}

// liberal has TCP's window not be checked: where it stood is not told.
func liberal(info object) []byte {
	tcp := info.nest(ctTCP)
	if len(tcp.attrs) == 0 {
		return info.Serialize()
	}
	for _, kind := range []uint16{ctTCPFlags, ctTCPFlags + 1} {
		flags := byte(tcpBeLiberal)
		if v := tcp.get(kind); len(v) > 0 {
			flags |= v[0]
		}
		tcp.set(kind, []byte{flags, 0xff}) // struct nf_ct_tcp_flags: flags, mask
	}
	info.set(ctTCP|unix.NLA_F_NESTED, tcp.Serialize())
	return info.Serialize()
}

// translation is CTA_NAT_SRC or CTA_NAT_DST to one address and port.
func translation(kind uint16, to netip.Addr, port, id []byte) attribute {
	var n object
	first := uint16(ctIPv4Min)
	if to.Is6() {
		first = ctIPv6Min
	}
	n.set(first, to.AsSlice())
	n.set(first+1, to.AsSlice())
	if port == nil {
		port = id
	}
	if port != nil {
		var p object
		p.set(ctPortMin, port)
		p.set(ctPortMin+1, port)
		n.attrs = append(n.attrs, attribute{ctNATProto | unix.NLA_F_NESTED, p.Serialize()})
	}
	return attribute{kind | unix.NLA_F_NESTED, n.Serialize()}
}

// unbind has connections whose source is translated to one of the addresses be bound to no link. What the kernel refuses is cut, as
// it would be without this; it is logged.
func (h *Host) unbind(held []object) error {
	var addresses []netip.Addr
	for _, a := range held {
		addresses = append(addresses, addressPrefix(a).Addr())
	}
	list, err := masqueradedBy(addresses)
	if err != nil {
		h.log.Warn("connections of others that this host masquerades will be cut", "err", err)
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	if err := h.at("replace tracked connections"); err != nil {
		return err
	}
	s, err := openConntrack()
	if err != nil {
		h.log.Warn("connections of others that this host masquerades will be cut", "err", err)
		return nil
	}
	defer s.close()
	var errs []error
	for _, o := range list {
		f, _ := flowOf(o)
		errs = append(errs, s.replace(o, unbound(o, f)))
	}
	if err := errors.Join(errs...); err != nil {
		h.log.Warn("some connections of others that this host masquerades will be cut", "err", err)
	}
	return nil
}

// conntrackSocket changes tracked connections.
type conntrackSocket struct{ fd int }

func openConntrack() (*conntrackSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(netlinkTimeout.Nanoseconds())
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout), unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &conntrackSocket{fd}, nil
}

func (s *conntrackSocket) close() { unix.Close(s.fd) }

// replace deletes a connection and makes another in its place by one write, so that next to no packet can come in between.
func (s *conntrackSocket) replace(was, next object) error {
	old := object{head: was.head}
	for _, a := range was.attrs {
		switch a.kind & kindMask {
		case nl.CTA_TUPLE_ORIG, nl.CTA_ZONE, nl.CTA_ID:
			old.attrs = append(old.attrs, a)
		}
	}
	message := func(kind, flags int, o object) []byte {
		req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|kind, flags|unix.NLM_F_ACK)
		req.AddData(o)
		return req.Serialize()
	}
	both := append(message(nl.IPCTNL_MSG_CT_DELETE, 0, old), message(nl.IPCTNL_MSG_CT_NEW, unix.NLM_F_CREATE|unix.NLM_F_EXCL, next)...)
	if err := unix.Sendto(s.fd, both, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	gone, err := s.ack()
	if err != nil {
		return err
	}
	made, err := s.ack()
	if err == nil && gone == nil { // else it has ended by itself
		err = made
	}
	return err
}

// ack reads an answer: answer is what the kernel says, err that it says nothing.
func (s *conntrackSocket) ack() (answer, err error) {
	b := make([]byte, 8192)
	n, _, err := unix.Recvfrom(s.fd, b, 0)
	if err != nil {
		return nil, err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return nil, errObject
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code < 0 {
		return unix.Errno(-code), nil
	}
	return nil, nil
}

// masqueraded warns of connections that will be cut because they cannot be replaced.
func (c *check) masqueraded() {
	var addresses []netip.Addr
	for _, n := range c.chosen {
		for _, p := range n.Addresses {
			addresses = append(addresses, p.Addr())
		}
	}
	if _, err := masqueradedBy(addresses); err != nil {
		c.warnf("connections that this host masquerades for others cannot be carried over and will be cut: the kernel does not tell of them (%v)", err)
	}
}

// unbindAddressesOf replaces the connections that are masqueraded by the addresses of links, which are the keys.
func (h *Host) unbindAddressesOf(links map[int]int) error {
	if !tracked() {
		return nil
	}
	var held []object
	for index := range links {
		have, err := h.addresses(index)
		if err != nil {
			return err
		}
		held = append(held, have...)
	}
	return h.unbind(held)
}
