// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// die closes a as the end of its process would: nothing is removed from its store.
func die(t *testing.T, a *Adapter) {
	t.Helper()
	for _, q := range a.queues {
		labtest.Must(t, q.close())
	}
}

func inherited(t *testing.T, s *descriptorstest.Store) int {
	t.Helper()
	s.Next()
	fd, ok := s.Take(descriptors.Tap)
	if !ok {
		t.Fatal("no queue in the store")
	}
	return fd
}

// The device keeps carrier and frames while no process has its queue open, and the next process reads them, whatever
// its name is then.
func TestAdoptReadsOn(t *testing.T) {
	store := descriptorstest.New(t)
	mac := frame.MAC(0x020000000042)
	a := create(t, Options{Name: "team0", MAC: mac, Store: store})
	labtest.Must(t, a.SetCarrier(true))
	labtest.Must(t, netlink.LinkSetUp(link(t, "team0")))
	die(t, a)
	flags := link(t, "team0").Attrs().RawFlags
	if flags&unix.IFF_LOWER_UP == 0 {
		t.Error("the carrier went with the process")
	}
	sent := sendBy(t, a.Index())
	labtest.Must(t, netlink.LinkSetName(link(t, "team0"), "uplink"))
	b, err := Adopt(inherited(t, store), Options{Store: store})
	labtest.Must(t, err)
	t.Cleanup(func() { b.Delete() })
	if b.Name() != "uplink" || b.Index() != a.Index() || b.MAC() != mac || b.Offloads() != a.Offloads() {
		t.Errorf("adopted %q, index %d, MAC %v, offloads %v", b.Name(), b.Index(), b.MAC(), b.Offloads())
	}
	if got := link(t, "uplink").Attrs().RawFlags; got != flags {
		t.Errorf("flags %#x, were %#x", got, flags)
	}
	in := make([]byte, frame.VnetLen+MaxFrame)
	for {
		n, err := b.Queues()[0].Read(in)
		labtest.Must(t, err)
		if string(in[frame.VnetLen:n]) == string(sent) {
			break
		}
	}
	labtest.Must(t, b.Close())
	if names := store.Stored(); len(names) > 0 {
		t.Errorf("stored after Close: %v", names)
	}
}

// sendBy sends a frame by a link and returns it.
func sendBy(t *testing.T, index int) []byte {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	labtest.Must(t, err)
	defer unix.Close(fd)
	b := make([]byte, 60)
	copy(b, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x42\x88\xb5 this waits for the next process")
	labtest.Must(t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: index}))
	return b
}

func TestAdoptRefuses(t *testing.T) {
	labtest.Root(t)
	const multi, header = unix.IFF_MULTI_QUEUE, unix.IFF_VNET_HDR
	queue := func(flags uint16) int {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		labtest.Must(t, err)
		req, err := unix.NewIfreq("other0")
		labtest.Must(t, err)
		req.SetUint16(flags | unix.IFF_NO_PI)
		labtest.Must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
		return fd
	}
	for name, tt := range map[string]struct {
		fd   func() int
		want error
	}{
		"no virtio header": {func() int { return queue(unix.IFF_TAP | multi) }, ErrForeign},
		"one queue only":   {func() int { return queue(unix.IFF_TAP | header) }, ErrForeign},
		"a TUN": {func() int {
			return queue(unix.IFF_TUN | multi | header)
		}, ErrForeign},
		"no queue": {func() int {
			f, err := os.Open("/dev/null")
			labtest.Must(t, err)
			defer f.Close()
			fd, err := unix.Dup(int(f.Fd()))
			labtest.Must(t, err)
			return fd
		}, ErrForeign},
		"device deleted": {func() int {
			store := descriptorstest.New(t)
			a := create(t, Options{Name: "team1", Store: store})
			die(t, a)
			labtest.Must(t, netlink.LinkDel(link(t, "team1")))
			return inherited(t, store)
		}, ErrGone},
		"device in another namespace": {func() int {
			store := descriptorstest.New(t)
			a := create(t, Options{Name: "team0", Store: store})
			die(t, a)
			h := labtest.Host(t, "other")
			labtest.Must(t, netlink.LinkSetNsFd(link(t, "team0"), h.NetNS()))
			makeLink(t, "team0")
			return inherited(t, store)
		}, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			fd := tt.fd()
			a, err := Adopt(fd, Options{})
			if a != nil || !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
				t.Errorf("the descriptor is open: %v", err)
			}
		})
	}
}

// makeLink makes another TAP of a name that has become free.
func makeLink(t *testing.T, name string) {
	t.Helper()
	a := netlink.NewLinkAttrs()
	a.Name, a.Flags = name, net.FlagUp
	l := &netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TAP}
	labtest.Must(t, netlink.LinkAdd(l))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(name); err == nil {
			netlink.LinkDel(l)
		}
	})
}

// What 20 000 full frames a second are in 250 ms waits for the next process.
func TestQueueHoldsStandstill(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	labtest.Must(t, a.SetCarrier(true))
	labtest.Must(t, netlink.LinkSetUp(link(t, "team0")))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	labtest.Must(t, err)
	defer unix.Close(fd)
	b := make([]byte, 1514)
	copy(b, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x42\x88\xb5")
	const frames = 20_000 / 4
	drops := link(t, "team0").Attrs().Statistics.TxDropped
	for range frames - 100 { // the kernel may have sent some by itself
		labtest.Must(t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: a.Index()}))
	}
	if n := link(t, "team0").Attrs().Statistics.TxDropped - drops; n > 0 {
		t.Errorf("%d frames found no room", n)
	}
}
