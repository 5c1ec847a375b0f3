// SPDX-License-Identifier: MIT

package nic

import (
	"testing"

	"github.com/vishvananda/netlink"

	"nicteam/internal/lab/labtest"
)

// The sizes are not near where a kernel could well take the next power of two.
func TestTruesizeIsTheKernels(t *testing.T) {
	p := newPair(t, Options{Backlog: 64 << 20})
	l, err := p.host.Handle().LinkByName("a")
	labtest.Must(t, err)
	// A queue from which hardly anything leaves once its burst is over.
	const rate, burst = 1000, 80 << 10
	labtest.Must(t, p.host.Handle().QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0),
			Parent: netlink.HANDLE_ROOT},
		Rate: rate, Buffer: netlink.Xmittime(rate, burst), Limit: 64 << 20,
	}))
	send := func(b []byte) (charged int) {
		before := p.a.Backlog()
		p.a.Queue(b)
		if f := p.a.Flush(); len(f) > 0 {
			t.Fatalf("not sent: %+v", f)
		}
		return p.a.Backlog() - before
	}
	for range 2 {
		send(superFrame(60000, 1448))
	}
	for _, n := range []int{60, 150, 500, 1000, 1514} {
		got, want := send(withHeader(append(testFrame(0), make([]byte, n-60)...))), Truesize(n)
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%d octets: %d charged, Truesize says %d", n, got, want)
		}
	}
	for _, n := range []int{3000, 6000, 9014, 20000, 65000} {
		got, want := send(superFrame(n-54, 1448)), Truesize(n)
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("super-frame of %d octets: %d charged, Truesize says %d", n, got, want)
		}
	}
}
