// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// TestResolveAgain: what the host wanted to send while the adapter had no carrier is sent at once when it has one, not
// when the kernel repeats its request a second later.
func TestResolveAgain(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	for _, cidr := range []string{"10.9.0.1/24", "fd09::1/64"} {
		addr, err := netlink.ParseAddr(cidr)
		labtest.Must(t, err)
		addr.Flags |= unix.IFA_F_NODAD
		labtest.Must(t, netlink.AddrAdd(link(t, "team0"), addr))
	}
	labtest.Must(t, netlink.LinkSetUp(link(t, "team0")))
	for _, to := range []string{"10.9.0.2:9", "[fd09::2]:9"} {
		c, err := net.Dial("udp", to)
		labtest.Must(t, err)
		_, err = c.Write([]byte("waits"))
		labtest.Must(t, err)
		labtest.Must(t, c.Close())
	}
	incomplete := func() (n int) {
		list, err := netlink.NeighList(a.Index(), netlink.FAMILY_ALL)
		labtest.Must(t, err)
		for _, e := range list {
			if e.State == netlink.NUD_INCOMPLETE {
				n++
			}
		}
		return n
	}
	if n := incomplete(); n != 2 {
		t.Fatalf("%d neighbours are waited for, want 2", n)
	}
	labtest.Must(t, a.SetCarrier(true))
	began := time.Now()
	labtest.Must(t, a.ResolveAgain())
	if n := incomplete(); n != 2 {
		t.Errorf("%d neighbours are waited for then, want 2", n)
	}
	asked := map[string]bool{}
	b, q := make([]byte, frame.VnetLen+MaxFrame), a.Queues()[0]
	for len(asked) < 2 {
		n, err := q.Read(b)
		if errors.Is(err, unix.EAGAIN) {
			if time.Since(began) > 500*time.Millisecond {
				t.Fatalf("asked for %v only", asked)
			}
			time.Sleep(time.Millisecond)
			continue
		}
		labtest.Must(t, err)
		switch f := b[frame.VnetLen:n]; {
		case f[12] == 0x08 && f[13] == 0x06 && net.IP(f[38:42]).Equal(net.IPv4(10, 9, 0, 2)):
			asked["IPv4"] = true
		case len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd && f[54] == 135 &&
			net.IP(f[62:78]).Equal(net.ParseIP("fd09::2")):
			asked["IPv6"] = true
		}
	}
}
