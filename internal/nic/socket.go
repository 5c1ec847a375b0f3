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

	"nicteam/internal/epoll"
	"nicteam/internal/frame"
)

var (
	// ErrDown says that the NIC went down. The socket works again by itself when it comes up.
	ErrDown = errors.New("NIC is down")
	// ErrGone says that the NIC does not exist any more. The socket is of no more use.
	ErrGone = errors.New("NIC is gone")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("socket is closed")
)

// Offload says whether a kind of super-frame is given to the NIC whole. Its values are those of team.Offload.
type Offload uint8

// The positions.
const (
	OffloadAuto Offload = iota // until the NIC refuses one
	OffloadOn                  // always tried
	OffloadOff                 // never: segmented in software
)

// receiveBuffer is SO_RCVBUF before the kernel doubles it. The default of 208 KiB is three super-frames;
// what a standstill of the machine must not lose is some 10 ms at 10 Gbit/s.
const receiveBuffer = 16 << 20

// Options say which NIC a Socket is for.
type Options struct {
	Name     string // for errors only
	Index    int    // ifindex
	MAC      frame.MAC
	Backlog  int // bytes that may wait for transmission, 0: BacklogFor the NIC's speed at present; see SetBacklog
	TSO, USO Offload
}

// OnPanic has f called when segmenting the frame b in software panicked; the frame is then Rejected. It
// is to be called before the first Flush.
func (s *Socket) OnPanic(f func(value any, b []byte)) { s.out.panicked = f }

// Socket receives all frames that come in by a NIC and sends by it. One goroutine receives (Receive, Poll,
// Rest, Frame), one the slow protocols (ReceiveSlow), one transmits (Queue, Flush); the other methods may be called from
// any goroutine. Send and SendInOrder have a queue of their own, which what is transmitted does not fill, and
// ReceiveSlow has one that what is received does not.
type Socket struct {
	opt    Options
	file   *os.File
	raw    syscall.RawConn
	waiter *epoll.Waiter
	closed atomic.Bool

	in     receiver
	out    sender
	urgent urgent
	ear    ear

	mu              sync.Mutex // of what the NIC takes in
	unicast, groups memberships
	promiscuous     bool
	allMulti        bool

	drops atomic.Uint64 // from PACKET_STATISTICS, which forgets what it told
}

// Open opens a socket on the NIC, which may be down. Frames that come in from then on are received.
func Open(o Options) (*Socket, error) {
	s := &Socket{opt: o, unicast: memberships{kind: unix.PACKET_MR_UNICAST}, groups: memberships{kind: unix.PACKET_MR_MULTICAST}}
	// Protocol 0 receives nothing: the options are in force before the first frame, and no frame of another NIC slips in.
	conn, err := packet.Listen(&net.Interface{Index: o.Index, Name: o.Name, HardwareAddr: o.MAC.HardwareAddr()}, packet.Raw, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", o.Name, err)
	}
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.control(s.configure)
	}
	if err == nil {
		err = s.adopt()
	}
	// The socket lives on by a descriptor that the runtime's poller does not know.
	conn.Close()
	if err == nil {
		if err = s.openOthers(); err != nil {
			s.waiter.Close()
			s.file.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", o.Name, err)
	}
	s.in.init()
	s.in.receive = s.receive
	s.out.init(o.TSO, o.USO)
	return s, nil
}

// openOthers opens the two ways of control frames.
func (s *Socket) openOthers() error {
	if err := s.urgent.open(s.opt); err != nil {
		return err
	}
	if err := s.ear.open(s.opt); err != nil {
		s.urgent.conn.Close()
		return err
	}
	return nil
}

// adopt gives s a descriptor of its own.
func (s *Socket) adopt() error {
	fd := -1
	err := s.control(func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
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

func (s *Socket) configure(fd int) error {
	for _, opt := range []struct {
		name            string
		level, key, val int
		readBack        bool
	}{
		{name: "PACKET_VNET_HDR", level: unix.SOL_PACKET, key: unix.PACKET_VNET_HDR, val: 1},
		{name: "PACKET_AUXDATA", level: unix.SOL_PACKET, key: unix.PACKET_AUXDATA, val: 1},
		{name: "PACKET_IGNORE_OUTGOING", level: unix.SOL_PACKET, key: unix.PACKET_IGNORE_OUTGOING, val: 1, readBack: true},
		{name: "SO_RCVBUFFORCE", level: unix.SOL_SOCKET, key: unix.SO_RCVBUFFORCE, val: receiveBuffer},
	} {
		if err := unix.SetsockoptInt(fd, opt.level, opt.key, opt.val); err != nil {
			return fmt.Errorf("set %s: %w", opt.name, err)
		}
		if !opt.readBack {
			continue
		}
		if v, err := unix.GetsockoptInt(fd, opt.level, opt.key); err != nil || v != opt.val {
			return fmt.Errorf("set %s: reads back as %d: %w", opt.name, v, errors.Join(err, unix.ENOTSUP))
		}
	}
	backlog := s.opt.Backlog
	if backlog <= 0 {
		backlog = BacklogFor(speed(fd, s.opt.Index))
	}
	if err := setBacklog(fd, backlog); err != nil {
		return err
	}
	all := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: s.opt.Index}
	if err := unix.Bind(fd, all); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// control runs f on the descriptor, which stays open meanwhile.
func (s *Socket) control(f func(fd int) error) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		if s.closed.Load() {
			return ErrClosed
		}
		return cerr
	}
	return err
}

// SetBacklog bounds what waits for transmission, in the bytes that the kernel charges for it, and that
// Backlog tells: a super-frame counts some 5 % more than its length, a frame of 1500 bytes half as much
// again, a small frame about 800. The bound is checked before a frame, so one may lie over it.
// It is asked for anew when the NIC's speed changes.
func (s *Socket) SetBacklog(bytes int) error {
	return s.control(func(fd int) error { return setBacklog(fd, bytes) })
}

func setBacklog(fd, bytes int) error {
	// The kernel doubles what it is given.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes/2); err != nil {
		return fmt.Errorf("set SO_SNDBUFFORCE: %w", err)
	}
	return nil
}

// Backlog is how many bytes, as the kernel charges them, were sent and have not left the NIC.
func (s *Socket) Backlog() int {
	var n int
	err := s.control(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	if err != nil {
		return 0
	}
	return n
}

// Carrier reports whether the NIC is up and has carrier.
func (s *Socket) Carrier() bool {
	up := false
	s.control(func(fd int) error { up = carrier(fd, s.opt.Index); return nil })
	return up
}

// carrier asks in the socket's own namespace.
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

// Stats are the totals since Open.
type Stats struct {
	Drops     uint64 // frames received that the socket's buffer had no room for
	Segmented uint64 // super-frames segmented in software
}

// Stats reads the totals. After Close they stay what they were last.
func (s *Socket) Stats() Stats {
	// The kernel's counter starts anew with each reading.
	s.control(func(fd int) error {
		st, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil {
			s.drops.Add(uint64(st.Drops) + s.ear.missedSlow())
		}
		return err
	})
	return Stats{Drops: s.drops.Load(), Segmented: s.out.segmented.Load()}
}

// TSO reports whether TCP super-frames are given to the NIC whole at present.
func (s *Socket) TSO() bool { return !s.out.noTSO.Load() }

// USO reports whether UDP super-frames are given to the NIC whole at present.
func (s *Socket) USO() bool { return !s.out.noUSO.Load() }

// Close ends a Receive that waits and undoes all that the socket asked of the NIC. Closing twice is fine.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	// The kernel waits for all its processors for each of them, which takes some ms: for all at once.
	others := make(chan error, 2)
	go func() { others <- s.urgent.conn.Close() }()
	go func() { others <- s.ear.conn.Close() }()
	return errors.Join(s.waiter.Close(), s.file.Close(), <-others, <-others)
}
