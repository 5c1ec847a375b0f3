// SPDX-License-Identifier: MIT

package backlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"nicteam/modes/spread"
)

// LinkStats are a NIC's counters.
type LinkStats struct {
	TxBytes   uint64
	TxDropped uint64 // frames
	Present   bool   // the NIC exists
}

// QdiscStats are the counters of a NIC's root qdisc.
type QdiscStats struct {
	SentBytes uint64
	Backlog   uint32 // bytes
	Drops     uint32 // frames; wraps
}

// Indexes are the ifindexes of members by id, 0 where there is none.
type Indexes [spread.MaxMembers]int32

// StatsReader reads counters by netlink. Its methods may be called from any goroutine.
//
// The counters of NICs come one message a NIC, all requested at once. Qdiscs are dumped, all of the host: the kernel
// answers a request for a single one by telling everybody who listens for changes (qdisc_notify in
// net/sched/sch_api.c), so each reading would wake the host's network management.
//
// The kernel takes its configuration lock (RTNL) for each. Whoever holds that, to remove a NIC for instance, delays the
// reader by tens of milliseconds: no frame and no decision may wait for the reader.
type StatsReader struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	out []byte
	in  []byte
}

// OpenStatsReader opens a reader in the calling thread's network namespace.
func OpenStatsReader() (*StatsReader, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// The answers for 64 members wait at once. The default nearly suffices, so a refusal is no error.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	err = errors.Join(
		unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		// for an answer that is lost
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &StatsReader{fd: fd, in: make([]byte, maxMessage)}, nil
}

const (
	maxMessage   = 32 << 10 // the most that the kernel returns by one read
	nlmsgLen     = unix.NLMSG_HDRLEN
	tcmsgLen     = 20 // struct tcmsg
	ifStatsLen   = 12 // struct if_stats_msg
	filterLink64 = 1  // IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)
)

var errReaderClosed = errors.New("netlink socket is closed")

// ReadLinks fills to with the counters of these NICs.
func (r *StatsReader) ReadLinks(of *Indexes, to *[spread.MaxMembers]LinkStats) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return errReaderClosed
	}
	r.out = r.out[:0]
	first := r.seq + 1
	answers := 0
	for id, index := range of {
		to[id] = LinkStats{}
		r.seq++
		if index > 0 {
			answers++
			b := r.addRequest(unix.RTM_GETSTATS, 0, ifStatsLen)
			binary.NativeEndian.PutUint32(b[4:], uint32(index))
			binary.NativeEndian.PutUint32(b[8:], filterLink64)
		}
	}
	if answers == 0 {
		return nil
	}
	err := r.exchange(func(m message) bool {
		if at := m.seq - first; at < spread.MaxMembers {
			to[at].parse(m)
			answers--
		}
		return answers > 0
	})
	if err != nil {
		return fmt.Errorf("read counters of NICs: %w", err)
	}
	return nil
}

// ReadQdiscs fills to with the counters of these NICs' root qdiscs: zero for one that has none.
func (r *StatsReader) ReadQdiscs(of *Indexes, to *[spread.MaxMembers]QdiscStats) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return errReaderClosed
	}
	*to = [spread.MaxMembers]QdiscStats{}
	r.out = r.out[:0]
	r.seq++
	r.addRequest(unix.RTM_GETQDISC, unix.NLM_F_DUMP, tcmsgLen)
	err := r.exchange(func(m message) bool {
		if m.seq != r.seq {
			return true
		}
		if index, q, ok := parseRootQdisc(m); ok {
			for id, of := range of {
				if of == index {
					to[id] = q
				}
			}
		}
		return m.kind != unix.NLMSG_DONE && m.kind != unix.NLMSG_ERROR
	})
	if err != nil {
		return fmt.Errorf("read qdiscs: %w", err)
	}
	return nil
}

// addRequest appends a request to out and returns its body of n bytes.
func (r *StatsReader) addRequest(kind, flags uint16, n int) []byte {
	at := len(r.out)
	r.out = append(r.out, zeroRequest[:nlmsgLen+n]...)
	b := r.out[at:]
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], r.seq)
	return b[nlmsgLen:]
}

var zeroRequest [nlmsgLen + tcmsgLen]byte

// exchange sends the requests and calls f with each message that comes, until f returns false.
func (r *StatsReader) exchange(f func(message) bool) error {
	if _, err := unix.Write(r.fd, r.out); err != nil {
		return err
	}
	for more := true; more; {
		n, err := unix.Read(r.fd, r.in)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for b := r.in[:n]; more; {
			m, rest, ok := cutMessage(b)
			if !ok {
				break
			}
			more, b = f(m), rest
		}
	}
	return nil
}

// Close closes the socket. Closing twice is fine.
func (r *StatsReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil
	}
	fd := r.fd
	r.fd = -1
	return unix.Close(fd)
}
