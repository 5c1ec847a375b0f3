package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"nicteam/modes/spread"
)

// What waits for a member is in no socket of this process but in the queueing discipline of the NIC and in the NIC itself. A gauge
// reads what the kernel has counted of both.
//
// What NICs have sent it asks by one message a NIC, all sent at once. Queueing disciplines it has the kernel tell all of the host: asked
// for one alone the kernel tells that to everybody who listens for changes, too (qdisc_notify), so that each reading would wake
// the host's network management.
//
// The kernel takes its configuration lock for each of these. It holds that for some microseconds; another who
// has it, to remove a NIC for instance, makes the reader wait for tens of milliseconds. So whoever reads
// must be nobody for whom frames or the control loop wait.

// traffic is what the kernel has counted of a NIC.
type traffic struct {
	sent      uint64 // bytes
	abandoned uint64 // frames that it has dropped
	known     bool   // it is there
}

// queue is what the kernel has counted of a NIC's queueing discipline.
type queue struct {
	passed  uint64 // bytes that have left it
	waiting uint32 // bytes
	dropped uint32 // frames; wraps
}

// nics are the ifindexes of members, 0 where there is none.
type nics [spread.MaxMembers]int32

// gauge reads. Its methods may be called from any goroutine.
type gauge struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	out []byte
	in  []byte
}

// openGauge opens a gauge for the NICs of the calling thread's network namespace.
func openGauge() (*gauge, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// The answers for 64 members wait at once. Where this is refused, what is usual nearly does, too.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	err = errors.Join(
		unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}), // for an answer that is lost
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &gauge{fd: fd, in: make([]byte, chunk)}, nil
}

const (
	chunk     = 32 << 10 // the most that the kernel tells at a time
	headerLen = unix.NLMSG_HDRLEN
	tcLen     = 20 // struct tcmsg
	statsLen  = 12 // struct if_stats_msg
	onlyLinks = 1  // IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)
)

var errClosed = errors.New("the gauge is closed")

// traffic fills to for these NICs.
func (g *gauge) traffic(of *nics, to *[spread.MaxMembers]traffic) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fd < 0 {
		return errClosed
	}
	g.out = g.out[:0]
	first := g.seq + 1
	answers := 0
	for id, index := range of {
		to[id] = traffic{}
		g.seq++
		if index > 0 {
			answers++
			b := g.ask(unix.RTM_GETSTATS, 0, statsLen)
			binary.NativeEndian.PutUint32(b[4:], uint32(index))
			binary.NativeEndian.PutUint32(b[8:], onlyLinks)
		}
	}
	if answers == 0 {
		return nil
	}
	err := g.talk(func(m answer) bool {
		if at := m.seq - first; at < spread.MaxMembers {
			to[at].take(m)
			answers--
		}
		return answers > 0
	})
	if err != nil {
		return fmt.Errorf("read what NICs have sent: %w", err)
	}
	return nil
}

// queues fills to for these NICs. One that has no queueing discipline has no queue.
func (g *gauge) queues(of *nics, to *[spread.MaxMembers]queue) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fd < 0 {
		return errClosed
	}
	*to = [spread.MaxMembers]queue{}
	g.out = g.out[:0]
	g.seq++
	g.ask(unix.RTM_GETQDISC, unix.NLM_F_DUMP, tcLen)
	err := g.talk(func(m answer) bool {
		if m.seq != g.seq {
			return true
		}
		if index, q, ok := rootQueue(m); ok {
			for id, of := range of {
				if of == index {
					to[id] = q
				}
			}
		}
		return m.kind != unix.NLMSG_DONE && m.kind != unix.NLMSG_ERROR
	})
	if err != nil {
		return fmt.Errorf("read queueing disciplines: %w", err)
	}
	return nil
}

// ask adds a question, and returns its body of n bytes.
func (g *gauge) ask(kind, flags uint16, n int) []byte {
	at := len(g.out)
	g.out = append(g.out, noQuestion[:headerLen+n]...)
	b := g.out[at:]
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], g.seq)
	return b[headerLen:]
}

var noQuestion [headerLen + tcLen]byte

// talk sends the questions and has f see the messages that come, while it wants more.
func (g *gauge) talk(f func(answer) bool) error {
	if _, err := unix.Write(g.fd, g.out); err != nil {
		return err
	}
	for more := true; more; {
		n, err := unix.Read(g.fd, g.in)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for b := g.in[:n]; more; {
			m, rest, ok := cutAnswer(b)
			if !ok {
				break
			}
			more, b = f(m), rest
		}
	}
	return nil
}

// Close lets go of the socket. Closing twice is fine.
func (g *gauge) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fd < 0 {
		return nil
	}
	fd := g.fd
	g.fd = -1
	return unix.Close(fd)
}
