// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// longSender sends frames that a packet socket refuses for their length. The socket accepts the MTU and one tag of
// 802.1Q (packet_snd), but a frame that fills the MTU may have a tag of 802.1ad or two tags, which NICs transmit.
//
// The socket accepts super-frames of any length. So such a frame is sent as a super-frame whose segments are as long as
// the frame: the kernel finds that there is one segment and drops the request (virtio_net_hdr_to_skb). For tagged
// frames it wants an unfinished checksum, so a finished one is turned into that. This works for TCP and UDP.
type longSender struct {
	msg        [1]message
	iov        [2]unix.Iovec
	header     [frame.VnetLen]byte
	unfinished []byte // copy of a frame whose checksum was finished
}

// send sends the frame f with the virtio header v. It returns EMSGSIZE for another protocol.
func (l *longSender) send(o *sender, fd uintptr, v frame.Vnet, f []byte) (errno syscall.Errno) {
	var h frame.Headers
	if v.GSOType != frame.GSONone || !frame.Parse(f, &h) || h.VLANs == 0 || h.Payload == 0 || h.Fragment {
		return unix.EMSGSIZE
	}
	if v.Flags&frame.NeedsCsum == 0 {
		if f = l.restartChecksum(&v, &h, f); f == nil {
			return unix.EMSGSIZE
		}
	}
	switch {
	case v.CsumOffset != 16: // not by h's protocol: in a tunnel the checksum is that of the inner packet
		v.GSOType = frame.GSOUDP // fragmentation, which kernels before 6.2 know too
	case h.EtherType == frame.TypeIPv4:
		v.GSOType = frame.GSOTCPv4
	default:
		v.GSOType = frame.GSOTCPv6
	}
	v.GSOSize = uint16(min(len(f), 1<<15))
	v.Marshal(l.header[:])
	l.iov[0].Base, l.iov[1].Base = &l.header[frame.VnetRoom], &f[0]
	l.iov[0].SetLen(frame.VnetLen - frame.VnetRoom)
	l.iov[1].SetLen(len(f))
	l.msg[0].Iov = &l.iov[0]
	l.msg[0].SetIovlen(len(l.iov))
	for errno = unix.EINTR; errno == unix.EINTR; {
		_, errno = o.send(fd, l.msg[:])
	}
	return errno
}

// restartChecksum returns a copy of f whose checksum is left to the kernel, nil if f has none.
func (l *longSender) restartChecksum(v *frame.Vnet, h *frame.Headers, f []byte) []byte {
	offset := 16
	if h.IPProto == frame.ProtoUDP {
		offset = 6
	}
	at := h.L4 + offset
	if offset == 6 && f[at]|f[at+1] == 0 {
		return nil
	}
	l.unfinished = append(l.unfinished[:0], f...)
	sum := frame.PseudoSum(f, h.L3, h.IPProto, len(f)-h.L4)
	binary.BigEndian.PutUint16(l.unfinished[at:], frame.Fold(sum))
	v.Flags, v.CsumStart, v.CsumOffset = frame.NeedsCsum, uint16(h.L4), uint16(offset)
	return l.unfinished
}
