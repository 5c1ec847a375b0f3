// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// rawSocket sends and receives whole Ethernet frames on a device of a host.
type rawSocket struct {
	t  testing.TB
	fd int
	// MAC is the device's.
	MAC net.HardwareAddr
}

// raw opens a socket that is closed at the end of the test.
func (w *world) raw(h *lab.Host, device string) *rawSocket {
	w.t.Helper()
	a := link(w.t, h, device)
	s := &rawSocket{t: w.t, fd: -1, MAC: a.HardwareAddr}
	labtest.Must(w.t, h.Do(func() (err error) {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		// The kernel strips the outer tag and reports it here.
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO,
			&unix.Timeval{Usec: 10_000}); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: a.Index})
	}))
	w.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *rawSocket) send(frame []byte) {
	s.t.Helper()
	_, err := unix.Write(s.fd, frame)
	labtest.Must(s.t, err)
}

// receive returns the next frame as it was on the wire, nil if none came for a moment.
func (s *rawSocket) receive() []byte {
	s.t.Helper()
	buf, control := make([]byte, 1<<16), make([]byte, 256)
	n, cn, _, _, err := unix.Recvmsg(s.fd, buf[4:], control, 0)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	labtest.Must(s.t, err)
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	labtest.Must(s.t, err)
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA {
			continue
		}
		aux := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
		if aux.Status&unix.TP_STATUS_VLAN_VALID == 0 {
			break
		}
		copy(buf, buf[4:16])
		binary.BigEndian.PutUint16(buf[12:], aux.Vlan_tpid)
		binary.BigEndian.PutUint16(buf[14:], aux.Vlan_tci)
		return buf[:n+4]
	}
	return buf[4:][:n]
}

// collect returns frames that wanted accepts, until there are enough or the time is over.
func (s *rawSocket) collect(enough int, within time.Duration, wanted func([]byte) bool) (got [][]byte) {
	s.t.Helper()
	for end := time.Now().Add(within); len(got) < enough && time.Now().Before(end); {
		if f := s.receive(); f != nil && wanted(f) {
			got = append(got, f)
		}
	}
	return got
}

// tag is a VLAN tag: protocol, priority and VLAN.
type tag struct {
	TPID     uint16
	PCP, VID uint16
}

// experiment is the IEEE 802 local experimental Ethertype 1; no kernel answers it.
const experiment = 0x88b6

// tagged returns a frame with VLAN tags, the outer one first, and a payload.
func tagged(to, from net.HardwareAddr, tags []tag, payload string) []byte {
	b := append(append([]byte{}, to...), from...)
	for _, g := range tags {
		b = binary.BigEndian.AppendUint16(b, g.TPID)
		b = binary.BigEndian.AppendUint16(b, g.PCP<<13|g.VID)
	}
	b = binary.BigEndian.AppendUint16(b, experiment)
	b = append(b, payload...)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}
