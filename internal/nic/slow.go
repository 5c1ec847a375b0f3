// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// slowSocket receives frames of slow protocols (802.3 annex 57A) only. A flood fills the receive buffer of the Socket,
// and a partner whose LACPDUs are lost in it takes the link down when it is used most. This buffer always has room,
// unless the flood is of such frames. The filter costs some 100 ns for each frame that the NIC receives, so the socket
// receives only while EnableSlow is on.
//
// Marker PDUs do not pass the filter: a marker asks whether all frames before it have arrived, which only a receiver of
// all frames in order can answer.
type slowSocket struct {
	conn *packet.Conn
	raw  syscall.RawConn

	read  func(fd uintptr) bool // made once: a closure a call would be an allocation a call
	into  []byte
	n     int
	errno error
}

// slowFilter accepts untagged frames with the slow protocols' EtherType and group address that are not Marker PDUs. It
// runs for each frame that the NIC receives, so the EtherType is first.
var slowFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: frame.TypeSlow, Jf: 11},
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x0180c200, Jf: 9},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x0002, Jf: 7},
	// The kernel keeps a tag in the SKB.
	// SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT of linux/filter.h
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0xfffff000 + 48},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0, Jf: 5},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 14},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 2, Jf: 2}, // subtype: markers
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 16},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 1, Jt: 1}, // type: Marker PDU, not a response
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// open opens the socket on the NIC, not enabled.
func (e *slowSocket) open(o Options) error {
	conn, err := packet.Listen(&net.Interface{Index: o.Index, Name: o.Name, HardwareAddr: o.MAC.HardwareAddr()},
		packet.Raw, 0, nil)
	if err != nil {
		return err
	}
	if e.raw, err = conn.SyscallConn(); err == nil {
		var failed error
		err = e.raw.Control(func(fd uintptr) { failed = configureSlow(int(fd)) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		conn.Close()
		return err
	}
	e.conn, e.read = conn, e.readOnce
	return nil
}

func configureSlow(fd int) error {
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(slowFilter)), Filter: &slowFilter[0]}); err != nil {
		return fmt.Errorf("set SO_ATTACH_FILTER: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("set PACKET_IGNORE_OUTGOING: %w", err)
	}
	return nil
}

// EnableSlow switches the reception of ReceiveSlow, which is off at first. Frames received before are still returned.
func (s *Socket) EnableSlow(on bool) error {
	// A bound socket cannot be unbound: it is bound to a type that the filter never accepts.
	protocol := htons(unusedEtherType)
	if on {
		protocol = htons(unix.ETH_P_ALL)
	}
	var err error
	cerr := s.slow.raw.Control(func(fd uintptr) {
		err = unix.Bind(int(fd), &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: s.opt.Index})
	})
	switch err = errors.Join(cerr, err); {
	case err == nil:
		return nil
	case s.closed.Load():
		err = ErrClosed
	}
	return fmt.Errorf("enable slow protocols on %s: %w", s.opt.Name, err)
}

func (e *slowSocket) readOnce(fd uintptr) bool {
	for {
		e.n, e.errno = unix.Read(int(fd), e.into)
		if e.errno != unix.EINTR {
			return e.errno != unix.EAGAIN
		}
	}
}

// ReceiveSlow waits for a frame of a slow protocol, except Marker PDUs, and copies what fits into b. Receive returns
// such frames too, whatever EnableSlow says. One goroutine calls it. Errors are those of Receive; after ErrDown it
// waits until the NIC is up, and until Close if the NIC is gone.
func (s *Socket) ReceiveSlow(b []byte) (n int, err error) {
	e := &s.slow
	e.into = b
	err = e.raw.Read(e.read)
	e.into = nil
	switch {
	case s.closed.Load():
		return 0, ErrClosed
	case err != nil:
		return 0, fmt.Errorf("receive slow protocols by %s: %w", s.opt.Name, err)
	case e.errno == unix.ENETDOWN:
		return 0, ErrDown
	case e.errno != nil:
		return 0, fmt.Errorf("receive slow protocols by %s: %w", s.opt.Name, e.errno)
	}
	s.drops.batches.Add(1)
	return e.n, nil
}

// drops returns how many frames found no room since the last call.
func (e *slowSocket) drops() (n uint64) {
	_ = e.raw.Control(func(fd uintptr) {
		if st, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(st.Drops)
		}
	})
	return n
}
