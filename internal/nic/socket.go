// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/epoll"
	"nicteam/internal/frame"
)

var (
	// ErrDown says that the NIC went down. The socket works again by itself when it comes up.
	ErrDown = errors.New("NIC is down")
	// ErrGone says that the NIC no longer exists. Close the socket.
	ErrGone = errors.New("NIC is gone")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("socket is closed")
)

// Offload says whether the NIC gets a kind of super-frame whole. Its values are those of team.Offload.
type Offload uint8

// The positions.
const (
	OffloadAuto Offload = iota // until the NIC refuses one
	OffloadOn                  // always tried
	OffloadOff                 // never: software segments
)

// receiveBuffer is SO_RCVBUF before the kernel doubles it. The default of 208 KiB holds three super-frames. This holds
// some 10 ms at 10 Gbit/s, so that a standstill of the machine loses nothing.
const receiveBuffer = 16 << 20

// Options say which NIC a Socket is for.
type Options struct {
	Name     string // for errors only
	Index    int    // ifindex
	MAC      frame.MAC
	Backlog  int // bytes that may wait for transmission, as SetBacklog; 0: BacklogFor the NIC's present speed
	TSO, USO Offload

	SocketFilter int // SetSocketFilter with it before the first frame; 0: none

	Store descriptors.Store // keeps what receives for the next process; nil: nothing does
}

// OnPanic sets the function that is called when segmenting the frame b panics; the frame is Rejected then. Call it
// before the first Flush.
func (s *Socket) OnPanic(f func(value any, b []byte)) { s.out.panicked = f }

// Socket receives all frames of a NIC and transmits by it. One goroutine receives (Receive, Poll, ClearWake, Frame),
// one receives slow protocols (ReceiveSlow), one transmits (Queue, Flush). The other methods may be called from any
// goroutine. SendControl and SendControlInOrder have a send buffer of their own, ReceiveSlow a receive buffer.
type Socket struct {
	opt    Options
	file   *os.File
	raw    syscall.RawConn
	waiter *epoll.Waiter
	closed atomic.Bool

	in   receiver
	out  sender
	ctl  controlSocket
	slow slowSocket

	mu     sync.Mutex // guards filter
	filter receiveFilter

	early []int // duplicates, descriptors.CloseFirst

	drops drops
}

// Open opens a socket on the NIC, which may be down, and receives from then on.
func Open(o Options) (*Socket, error) {
	s := newSocket(o)
	// Protocol 0 receives nothing: the options are set before the first frame, and no frame of another NIC comes in.
	conn, err := packet.Listen(&net.Interface{Index: o.Index, Name: o.Name, HardwareAddr: o.MAC.HardwareAddr()},
		packet.Raw, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", o.Name, err)
	}
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.withFD(s.configure)
	}
	if err == nil {
		err = s.duplicate()
	}
	// s has a duplicate of the descriptor that the runtime's poller does not know.
	conn.Close()
	if err == nil {
		err = s.openOthers()
	}
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", o.Name, err)
	}
	s.store()
	return s, nil
}

func newSocket(o Options) *Socket {
	o.Store = descriptors.Or(o.Store)
	s := &Socket{opt: o, filter: newReceiveFilter()}
	s.in.receive = s.receive
	s.out.init(o.TSO, o.USO)
	return s
}

// openOthers opens the sockets beside the main one, which it closes on an error.
func (s *Socket) openOthers() error {
	err := s.filter.open()
	if err == nil {
		if err = s.ctl.open(s.opt); err == nil {
			if err = s.slow.open(s.opt); err == nil {
				s.closeFirst(s.ctl.raw, s.slow.raw)
				return nil
			}
			s.ctl.file.Close()
		}
		s.filter.file.Close()
	}
	s.waiter.Close()
	s.file.Close()
	return err
}

// closeFirst has sockets closed before links when the process is killed. The store does that with the others.
func (s *Socket) closeFirst(sockets ...syscall.RawConn) {
	for _, raw := range sockets {
		_ = raw.Control(func(fd uintptr) {
			if early := descriptors.CloseFirst(int(fd)); early >= 0 {
				s.early = append(s.early, early)
			}
		})
	}
}

// duplicate makes a duplicate of its descriptor that of s.
func (s *Socket) duplicate() error {
	fd := -1
	err := s.withFD(func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	return s.own(fd)
}

// own makes fd the descriptor of s. On an error it is closed.
func (s *Socket) own(fd int) (err error) {
	if s.file, err = epoll.File(fd, s.opt.Name); err != nil {
		unix.Close(fd)
		return err
	}
	if s.raw, err = s.file.SyscallConn(); err == nil {
		s.waiter, err = epoll.NewWaiter(fd)
	}
	if err != nil {
		s.file.Close()
	}
	return err
}

// modes are the options of SOL_PACKET that the form of what is read depends on.
var modes = []struct {
	name string
	key  int
}{
	{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR},
	{"PACKET_AUXDATA", unix.PACKET_AUXDATA},
	{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING},
}

func (s *Socket) configure(fd int) error {
	for _, m := range modes {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, m.key, 1); err != nil {
			return fmt.Errorf("set %s: %w", m.name, err)
		}
	}
	if err := checkModes(fd); err != nil { // kernels ignore an option that they do not know
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return fmt.Errorf("set SO_RCVBUFFORCE: %w", err)
	}
	backlog := s.opt.Backlog
	if backlog <= 0 {
		backlog = BacklogFor(speed(fd, s.opt.Index))
	}
	if err := setBacklog(fd, backlog); err != nil {
		return err
	}
	if err := s.setFirstFilter(fd); err != nil {
		return err
	}
	all := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: s.opt.Index}
	if err := unix.Bind(fd, all); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// checkModes checks that all modes are on.
func checkModes(fd int) error {
	for _, m := range modes {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, m.key); err != nil || v != 1 {
			return fmt.Errorf("%s reads back as %d: %w", m.name, v, errors.Join(err, unix.ENOTSUP))
		}
	}
	return nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// withFD calls f with the descriptor, which stays open meanwhile.
func (s *Socket) withFD(f func(fd int) error) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		if s.closed.Load() {
			return ErrClosed
		}
		return cerr
	}
	return err
}

// SetSocketFilter attaches the BPF socket filter with descriptor fd in place of the one before, with no frame between
// the two; fd < 0 detaches it. The filter sees a frame just before the NIC's tc ingress hook, on the same processor.
// Nothing counts what it refuses. The socket keeps the filter: fd may be closed.
func (s *Socket) SetSocketFilter(fd int) error {
	err := s.withFD(func(socket int) error {
		if fd >= 0 {
			return unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, fd)
		}
		err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil // no filter was attached
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set socket filter of %s: %w", s.opt.Name, err)
	}
	return nil
}

// setFirstFilter attaches Options.SocketFilter.
func (s *Socket) setFirstFilter(fd int) error {
	if s.opt.SocketFilter <= 0 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, s.opt.SocketFilter); err != nil {
		return fmt.Errorf("set SO_ATTACH_BPF: %w", err)
	}
	return nil
}

// carrier reports whether the NIC is up and has carrier, in the socket's namespace.
func carrier(fd, index int) bool {
	name, ok := nameOf(fd, index)
	if !ok {
		return false
	}
	req, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req) != nil {
		return false
	}
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return req.Uint16()&up == up
}

// TSO reports whether the NIC gets TCP super-frames whole at present.
func (s *Socket) TSO() bool { return !s.out.noTSO.Load() }

// USO reports whether the NIC gets UDP super-frames whole at present.
func (s *Socket) USO() bool { return !s.out.noUSO.Load() }

// Close ends a Receive that waits and undoes what the socket changed on the NIC. Closing twice is fine.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.unstore()
	for _, early := range s.early {
		_ = unix.Close(early)
	}
	// Closing waits some ms for an RCU grace period: all at once.
	others := make(chan error, 3)
	go func() { others <- s.ctl.file.Close() }()
	go func() { others <- s.slow.conn.Close() }()
	go func() { others <- s.closeFilter() }()
	return errors.Join(s.waiter.Close(), s.file.Close(), <-others, <-others, <-others)
}
