// SPDX-License-Identifier: MIT

package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Conn is a netfilter netlink socket. A table that it owns (NFT_TABLE_F_OWNER) vanishes with it.
type Conn struct {
	fd  int
	seq uint32
	buf []byte
}

// Message is one request. Body is nfgenmsg and attributes.
type Message struct {
	Kind  uint16 // subsystem<<8 | message
	Flags uint16
	Body  rtnl.Object
}

const HeaderLen = 4 // struct nfgenmsg: family, version, resource id

func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("open nfnetlink socket", err)
	}
	timeout := unix.NsecToTimeval(rtnl.Timeout.Nanoseconds())
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		// Errors come without the request, so that those of a whole batch fit into the buffer.
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up nfnetlink socket: %w", err)
	}
	return &Conn{fd: fd, buf: make([]byte, 64<<10)}, nil
}

func (n *Conn) Close() { unix.Close(n.fd) }

// NewBody returns a message body for an address family.
func NewBody(family byte, attrs ...rtnl.Attribute) rtnl.Object {
	return rtnl.Object{Head: []byte{family, unix.NFNETLINK_V0, 0, 0}, Attrs: attrs}
}

// append appends a message with the next sequence number.
func (n *Conn) append(b []byte, m Message) []byte {
	body := m.Body.Serialize()
	n.seq++
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, m.Kind)
	b = binary.NativeEndian.AppendUint16(b, m.Flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, n.seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

func (n *Conn) send(b []byte) error {
	return os.NewSyscallError("send", unix.Sendto(n.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// receive calls f for each message until f reports done.
func (n *Conn) receive(f func(syscall.NetlinkMessage) (done bool, err error)) error {
	for {
		size, _, err := unix.Recvfrom(n.fd, n.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("receive", err)
		}
		list, err := syscall.ParseNetlinkMessage(n.buf[:size])
		if err != nil {
			return err
		}
		for _, m := range list {
			if done, err := f(m); done || err != nil {
				return err
			}
		}
	}
}

// Subscribe joins a multicast group; ReadPending reads its events.
func (n *Conn) Subscribe(group int) error {
	return errors.Join(
		os.NewSyscallError("enlarge receive buffer",
			unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)),
		os.NewSyscallError("join group", unix.SetsockoptInt(n.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP,
			group)))
}

// ReadPending calls f with the events since the last call, without waiting; f must not keep them. It returns false if
// the buffer overflowed.
func (n *Conn) ReadPending(f func([]byte)) (complete bool) {
	complete = true
	for {
		size, _, err := unix.Recvfrom(n.fd, n.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			complete = false
			continue
		case errors.Is(err, unix.EAGAIN):
			return complete
		case err != nil:
			return false
		}
		list, err := syscall.ParseNetlinkMessage(n.buf[:size])
		if err != nil {
			return false
		}
		for _, m := range list {
			f(m.Data)
		}
	}
}

// Get calls f with the body of the answer.
func (n *Conn) Get(kind uint16, body rtnl.Object, f func([]byte) error) error {
	if err := n.send(n.append(nil, Message{kind, 0, body})); err != nil {
		return err
	}
	return n.receive(func(m syscall.NetlinkMessage) (bool, error) {
		switch {
		case m.Header.Seq != n.seq:
			return false, nil
		case m.Header.Type == unix.NLMSG_ERROR:
			return true, nlError(m.Data)
		}
		return true, f(m.Data)
	})
}

// Dump calls f with each body; f must not keep it. The error is ErrDumpInterrupted if the list changed meanwhile.
func (n *Conn) Dump(kind uint16, body rtnl.Object, f func([]byte) error) error {
	if err := n.send(n.append(nil, Message{kind, unix.NLM_F_DUMP, body})); err != nil {
		return err
	}
	interrupted := false
	return n.receive(func(m syscall.NetlinkMessage) (bool, error) {
		if m.Header.Seq != n.seq {
			return false, nil
		}
		interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
		switch m.Header.Type {
		case unix.NLMSG_DONE:
			err := nlError(m.Data)
			if err == nil && interrupted {
				err = netlink.ErrDumpInterrupted
			}
			return true, err
		case unix.NLMSG_ERROR:
			return true, nlError(m.Data)
		}
		return false, f(m.Data)
	})
}

// dumpObjects lists objects of a subsystem (NFNL_SUBSYS_…) in the namespace of the calling thread; Object.Family is the
// address family. There may be tens of thousands: only those that keep accepts are kept (nil: all).
func dumpObjects(subsystem, message int, family byte, keep func(rtnl.Object) bool,
	attrs ...rtnl.Attribute) ([]rtnl.Object, error) {
	n, err := Open()
	if err != nil {
		return nil, err
	}
	defer n.Close()
	return rtnl.RetryDump(func() (list []rtnl.Object, err error) {
		err = n.Dump(uint16(subsystem<<8|message), NewBody(family, attrs...), func(b []byte) error {
			o, err := rtnl.ParseObject(b, HeaderLen)
			if err == nil && (keep == nil || keep(o)) {
				list = append(list, o)
			}
			return err
		})
		return list, err
	})
}

// Batch sends messages in one call. The kernel executes them one after the other, without a return to user space in
// between. It returns the result of each; a failed one does not stop the next.
func (n *Conn) Batch(list []Message) ([]error, error) {
	first := n.seq + 1
	var b []byte
	for i, m := range list {
		if i == len(list)-1 {
			m.Flags |= unix.NLM_F_ACK
		}
		b = n.append(b, m)
	}
	if err := n.send(b); err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	return errs, n.receive(func(m syscall.NetlinkMessage) (bool, error) {
		i := int(m.Header.Seq - first)
		if m.Header.Type != unix.NLMSG_ERROR || i < 0 || i >= len(list) {
			return false, nil
		}
		errs[i] = nlError(m.Data)
		return i == len(list)-1, nil
	})
}

// Transaction makes nftables execute all messages or none.
func (n *Conn) Transaction(list []Message) error {
	mark := NewBody(unix.AF_UNSPEC)
	binary.BigEndian.PutUint16(mark.Head[2:], unix.NFNL_SUBSYS_NFTABLES)
	first := n.seq + 1
	b := n.append(nil, Message{unix.NFNL_MSG_BATCH_BEGIN, 0, mark})
	for i, m := range list {
		if i == len(list)-1 {
			m.Flags |= unix.NLM_F_ACK
		}
		b = n.append(b, m)
	}
	last := n.seq
	b = n.append(b, Message{unix.NFNL_MSG_BATCH_END, 0, mark})
	if err := n.send(b); err != nil {
		return err
	}
	var failed error
	err := n.receive(func(m syscall.NetlinkMessage) (bool, error) {
		if m.Header.Type != unix.NLMSG_ERROR || m.Header.Seq < first {
			return false, nil
		}
		failed = errors.Join(failed, nlError(m.Data))
		// The kernel reports the first message if it refuses the batch.
		return m.Header.Seq == last || m.Header.Seq == first, nil
	})
	return errors.Join(failed, err)
}

// nlError reads the errno at the beginning of NLMSG_ERROR and NLMSG_DONE.
func nlError(b []byte) error {
	if len(b) < 4 {
		return nil
	}
	if e := int32(binary.NativeEndian.Uint32(b)); e < 0 {
		return unix.Errno(-e)
	}
	return nil
}
