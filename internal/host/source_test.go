// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// tapNIC is a TAP whose carrier the test sets. Unlike veth, and like a real NIC, its events are delayed by the kernel.
func tapNIC(t *testing.T, name string) (index int, carrier func(up bool)) {
	t.Helper()
	labtest.Root(t)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq(name)
	must(t, err)
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	run(t, "ip link set "+name+" up")
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	n, err := h.NIC(name)
	must(t, err)
	return n.Index, func(up bool) {
		v := int32(0)
		if up {
			v = 1
		}
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETCARRIER, uintptr(unsafe.Pointer(&v)))
		if e != 0 {
			t.Fatal(e)
		}
	}
}

// TestCarrierAtOnce reads each change at once, even while the kernel delays events.
func TestCarrierAtOnce(t *testing.T) {
	a, setA := tapNIC(t, "ta")
	b, setB := tapNIC(t, "tb")
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	for i := range 20 {
		up := i%2 == 1
		setA(up)
		if got := h.Carrier(a); got != up {
			t.Fatalf("change %d: carrier of a is %v", i, got)
		}
		setB(up)
		if got := h.Carrier(b); got != up {
			t.Fatalf("change %d: carrier of b is %v", i, got)
		}
		if l := h.Link(b); !l.Exists || !l.AdminUp || l.Carrier != up {
			t.Fatalf("change %d: link of b is %+v", i, l)
		}
	}
	setA(true)
	run(t, "ip link set ta down")
	if l := h.Link(a); h.Carrier(a) || l.Carrier || l.AdminUp || !l.Exists {
		t.Errorf("a NIC that is down has carrier: %+v", l)
	}
	if l := h.Link(12345); h.Carrier(12345) || l.Exists {
		t.Errorf("a NIC that is not there: %+v", l)
	}
	if n := testing.AllocsPerRun(100, func() { h.Carrier(b) }); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
}

func BenchmarkCarrier(b *testing.B) {
	labtest.Root(b)
	h, err := Open(Options{})
	must(b, err)
	defer h.Close()
	h.Changes(b.Context())
	for b.Loop() {
		h.Carrier(1)
	}
}

func TestChanges(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	_, carrier := tapNIC(t, "ta")
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	ctx := t.Context()
	changes := h.Changes(ctx)
	next := func() {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(labtest.Patience):
			t.Fatal("no change delivered")
		}
	}
	for i := range 3 {
		carrier(i%2 == 1)
		next()
	}
	// A hundred unread events are one.
	for range 50 {
		run(t, "ip link set ta down; ip link set ta up")
	}
	next()
}

// TestSpeedByHandIsAChange sets the speed of a NIC whose link stays up, which is no link event.
func TestSpeedByHandIsAChange(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	labtest.Tool(t, "ethtool", "ethtool")
	index, _ := tapNIC(t, "ta") // it has carrier from the beginning: no event of that is late
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	changes := h.Changes(t.Context())
	for _, mbit := range []uint64{1000, 2500} {
		run(t, fmt.Sprintf("ethtool -s ta speed %d duplex full autoneg off", mbit))
		select {
		case <-changes:
		case <-time.After(labtest.Patience):
			t.Fatal("no change delivered")
		}
		if got := h.Link(index).SpeedBps; got != mbit*1_000_000 {
			t.Errorf("a speed of %d, want %d Mbit/s", got, mbit)
		}
	}
}

// TestCarrierAfterRename reads the right NIC after two have swapped names, in spite of the name cache.
func TestCarrierAfterRename(t *testing.T) {
	a, setA := tapNIC(t, "ta")
	b, setB := tapNIC(t, "tb")
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	h.Changes(t.Context())
	setA(true)
	setB(false)
	for i := range 5 {
		if !h.Carrier(a) || h.Carrier(b) {
			t.Fatalf("before rename %d: a %v, b %v", i, h.Carrier(a), h.Carrier(b))
		}
		x, y := "ta", "tb"
		if i%2 == 1 {
			x, y = y, x
		}
		run(t,
			"ip link set "+x+" down; ip link set "+y+" down; ip link set "+x+" name tz; ip link set "+y+" name "+x+
				"; ip link set tz name "+y+"; ip link set ta up; ip link set tb up")
		labtest.Eventually(t, "the right NIC is read", func() bool { return h.Carrier(a) && !h.Carrier(b) })
	}
	if n := testing.AllocsPerRun(100, func() { h.Carrier(b) }); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
}
