package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The kernel's own words ("Nexthop has invalid gateway") belong into errors.
func init() { nl.EnableErrorMessageReporting = true }

// dumpTries bounds the retries of a dump that the kernel says was interrupted by a change.
const dumpTries = 20

// netlinkTimeout bounds a request; only a machine in deep trouble takes this long.
const netlinkTimeout = 10 * time.Second

// rtnetlink dumps and changes objects.
type rtnetlink struct {
	socket *nl.SocketHandle
}

func openRTNetlink() (*rtnetlink, error) {
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(netlinkTimeout.Nanoseconds())
	err = errors.Join(s.SetExtAck(true), s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout))
	if err != nil {
		s.Close()
		return nil, err
	}
	return &rtnetlink{&nl.SocketHandle{Socket: s}}, nil
}

// openStrict opens one whose dumps the kernel filters (NETLINK_GET_STRICT_CHK, Linux 4.20).
func openStrict() (*rtnetlink, error) {
	r, err := openRTNetlink()
	if err == nil {
		_ = unix.SetsockoptInt(r.socket.Socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	}
	return r, err
}

func (r *rtnetlink) close() { r.socket.Close() }

func (r *rtnetlink) request(kind, flags int, body nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: r.socket}
	req.AddData(body)
	return req
}

// dump lists all objects of a kind (RTM_GETADDR, …) and family (AF_UNSPEC: all) of the namespace.
func (r *rtnetlink) dump(kind int, family byte, head int) ([]object, error) {
	ask := object{head: make([]byte, head)}
	ask.head[0] = family
	return r.list(kind, ask, head)
}

// list is dump of the objects that are like ask, as far as the kernel looks at that: on a strict socket more.
func (r *rtnetlink) list(kind int, ask object, head int) ([]object, error) {
	list, err := retry(func() ([]object, error) {
		// RTM_NEWx is RTM_GETx − 2 for every kind.
		bodies, err := r.request(kind, unix.NLM_F_DUMP, ask).Execute(unix.NETLINK_ROUTE, uint16(kind-2))
		if err != nil {
			return nil, err
		}
		list := make([]object, 0, len(bodies))
		for _, b := range bodies {
			o, err := parseObject(b, head)
			if err != nil {
				return nil, err
			}
			list = append(list, o)
		}
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

// change sends one RTM_NEWx or RTM_DELx.
func (r *rtnetlink) change(kind, flags int, o object) error {
	_, err := r.request(kind, flags|unix.NLM_F_ACK, o).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// retry repeats a dump as long as the kernel says that a change interrupted it.
func retry[T any](dump func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := dump()
		if err == nil || try == dumpTries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return v, err
		}
	}
}

// change is rtnetlink.change at a point where tests can die; errors that mean "is so already" are none.
func (h *Host) change(what string, kind, flags int, o object) error {
	if err := h.at(what); err != nil {
		return err
	}
	err := h.rt.change(kind, flags, o)
	switch {
	case err == nil:
		h.log.Debug(what)
	case kind%4 == unix.RTM_NEWADDR%4 && errors.Is(err, unix.EEXIST):
		err = nil
	case kind%4 == unix.RTM_DELADDR%4 && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
