// SPDX-License-Identifier: MIT

package rtnl

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The kernel's own messages ("Nexthop has invalid gateway") become part of errors.
func init() { nl.EnableErrorMessageReporting = true }

// dumpTries bounds how often a dump is repeated that a change interrupted (NLM_F_DUMP_INTR).
const dumpTries = 20

// Timeout bounds one request. A healthy kernel answers in microseconds.
const Timeout = 10 * time.Second

// Conn is a connection to the rtnetlink of one network namespace. Any goroutine may use it.
type Conn struct {
	Handle     *netlink.Handle // links, qdiscs, filters
	FaultPoint func(point string) error

	// Requests and the objects that answered them: what a step costs, which tests hold.
	Requests, Objects atomic.Int64

	socket *nl.SocketHandle
	strict *nl.SocketHandle // its dumps are filtered by the kernel (NETLINK_GET_STRICT_CHK, Linux 4.20)
	log    *slog.Logger
}

// Open opens a connection in the namespace of the calling thread. faultPoint is called before every change: an error
// stops the change there, as the death of the process would.
func Open(log *slog.Logger, faultPoint func(point string) error) (*Conn, error) {
	c := &Conn{log: log, FaultPoint: faultPoint}
	err := c.open()
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return c, nil
}

func (c *Conn) open() (err error) {
	if c.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	if c.socket, err = openSocket(); err != nil {
		return err
	}
	if c.strict, err = openSocket(); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(c.strict.Socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return nil
}

func openSocket() (*nl.SocketHandle, error) {
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(Timeout.Nanoseconds())
	err = errors.Join(s.SetExtAck(true), s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout))
	if err != nil {
		s.Close()
		return nil, err
	}
	return &nl.SocketHandle{Socket: s}, nil
}

// Close closes its sockets.
func (c *Conn) Close() {
	for _, s := range []*nl.SocketHandle{c.socket, c.strict} {
		if s != nil {
			s.Close()
		}
	}
	if c.Handle != nil {
		c.Handle.Close()
	}
}

func request(s *nl.SocketHandle, kind, flags int, body nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: s}
	req.AddData(body)
	return req
}

// Dump lists all objects of a kind (RTM_GETADDR, …) and family (AF_UNSPEC: all) of the namespace.
func (c *Conn) Dump(kind int, family byte, head int) ([]Object, error) {
	ask := Object{Head: make([]byte, head)}
	ask.Head[0] = family
	return c.dumpLike(c.socket, kind, ask, head)
}

// dumpLike dumps the objects that match ask. Which fields the kernel compares depends on the kind; a strict socket
// compares more.
func (c *Conn) dumpLike(s *nl.SocketHandle, kind int, ask Object, head int) ([]Object, error) {
	list, err := RetryDump(func() ([]Object, error) {
		c.Requests.Add(1)
		// RTM_NEWx is RTM_GETx − 2 for every kind.
		bodies, err := request(s, kind, unix.NLM_F_DUMP, ask).Execute(unix.NETLINK_ROUTE, uint16(kind-2))
		if err != nil {
			return nil, err
		}
		list := make([]Object, 0, len(bodies))
		for _, b := range bodies {
			o, err := ParseObject(b, head)
			if err != nil {
				return nil, err
			}
			list = append(list, o)
		}
		c.Objects.Add(int64(len(list)))
		return list, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kindName(kind), err)
	}
	return list, nil
}

func kindName(kind int) string {
	switch kind {
	case unix.RTM_GETADDR:
		return "addresses"
	case unix.RTM_GETROUTE:
		return "routes"
	case unix.RTM_GETNEIGH:
		return "neighbours"
	case unix.RTM_GETRULE:
		return "rules"
	}
	return "links"
}

// RetryDump repeats a dump while a change interrupts it.
func RetryDump[T any](dump func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := dump()
		if err == nil || try == dumpTries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return v, err
		}
	}
}

// Change sends one RTM_NEWx or RTM_DELx after its fault point. "Exists already" and "is gone already" are no errors.
func (c *Conn) Change(what string, kind, flags int, o Object) error {
	if err := c.FaultPoint(what); err != nil {
		return err
	}
	c.Requests.Add(1)
	_, err := request(c.socket, kind, flags|unix.NLM_F_ACK, o).Execute(unix.NETLINK_ROUTE, 0)
	switch {
	case err == nil:
		c.log.Debug(what)
	case kind%4 == unix.RTM_NEWADDR%4 && errors.Is(err, unix.EEXIST):
		err = nil
	case kind%4 == unix.RTM_DELADDR%4 && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) ||
		errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ErrInjectedCrash is what tests return at a fault point. Nothing may be changed after it.
var ErrInjectedCrash = errors.New("died here")

func IsInjectedCrash(err error) bool { return errors.Is(err, ErrInjectedCrash) }

// RootCause returns the innermost error of a chain, the last one of errors that are joined.
func RootCause(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			list := e.Unwrap()
			if len(list) == 0 {
				return err
			}
			err = list[len(list)-1]
		default:
			return err
		}
	}
}
