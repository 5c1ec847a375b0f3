package fastpath

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// gaugeOf opens a gauge in a host.
func gaugeOf(t testing.TB, h *lab.Host) (g *gauge) {
	t.Helper()
	labtest.Must(t, h.Do(func() (err error) {
		g, err = openGauge()
		return err
	}))
	t.Cleanup(func() { labtest.Check(t, g.Close()) })
	return g
}

// A NIC that is full says what waits before it, what it has sent, and what it could not take.
func TestGaugeReadsWhatWaits(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	labtest.Cable(t, a, "veth0", b, "veth0", lab.CableOptions{})
	labtest.Wire(t, a, "tap0", b, "tap0", lab.WireOptions{})
	labtest.Must(t, a.SetAddr("veth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("veth0", "10.9.0.2/24"))
	labtest.Must(t, a.Shape("veth0", 1e6))
	g := gaugeOf(t, a)
	of := nics{3: 1 << 20}
	for id, name := range []string{"veth0", "tap0", "lo"} {
		of[id] = int32(indexOf(t, a, name))
	}
	var first, now [spread.MaxMembers]traffic
	var before, q [spread.MaxMembers]queue
	labtest.Must(t, g.traffic(&of, &first))
	labtest.Must(t, g.queues(&of, &before))
	for id, want := range []bool{true, true, true, false, false} {
		if first[id].known != want || before[id].waiting > 0 {
			t.Errorf("member %d: %+v, %+v", id, first[id], before[id])
		}
	}
	var c net.Conn
	labtest.Must(t, a.Do(func() (err error) {
		c, err = net.Dial("udp", "10.9.0.2:9")
		return err
	}))
	defer c.Close()
	labtest.Eventually(t, "a standing queue and drops", func() bool {
		for range 100 {
			_, _ = c.Write(make([]byte, 1400))
		}
		labtest.Must(t, g.traffic(&of, &now))
		labtest.Must(t, g.queues(&of, &q))
		return q[0].waiting > 64<<10 && q[0].dropped > before[0].dropped && now[0].sent > first[0].sent
	})
	if q[1].dropped != before[1].dropped || now[1].abandoned != first[1].abandoned {
		t.Errorf("drops of a NIC that was not used: %+v, %+v", q[1], now[1])
	}
	labtest.Must(t, g.Close())
	if g.traffic(&of, &now) == nil || g.queues(&of, &q) == nil {
		t.Error("a closed gauge reads")
	}
	labtest.Must(t, g.Close())
}

// Reading is no change: nobody who listens for changes of queueing disciplines is woken by it.
func TestGaugeIsQuiet(t *testing.T) {
	a := labtest.Host(t, "a")
	b := labtest.Host(t, "b")
	labtest.Cable(t, a, "veth0", b, "veth0", lab.CableOptions{})
	labtest.Must(t, a.Shape("veth0", 1e6))
	var fd int
	labtest.Must(t, a.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_TC - 1)})
		}
		return err
	}))
	defer unix.Close(fd)
	g := gaugeOf(t, a)
	of := nics{int32(indexOf(t, a, "veth0"))}
	for range 10 {
		labtest.Must(t, g.traffic(&of, new([spread.MaxMembers]traffic)))
		labtest.Must(t, g.queues(&of, new([spread.MaxMembers]queue)))
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 4096), unix.MSG_DONTWAIT)
	if err != unix.EAGAIN {
		t.Errorf("%d bytes were told to those who listen: %v", n, err)
	}
}

func TestGaugeAllocatesNothing(t *testing.T) {
	g, err := openGauge()
	labtest.Must(t, err)
	defer g.Close()
	of := nics{1, 1, 1, 1}
	var sent [spread.MaxMembers]traffic
	var q [spread.MaxMembers]queue
	n := testing.AllocsPerRun(100, func() {
		labtest.Must(t, g.traffic(&of, &sent))
		labtest.Must(t, g.queues(&of, &q))
	})
	if n > 0 {
		t.Errorf("%v allocations a reading", n)
	}
}

func BenchmarkGauge(b *testing.B) {
	a, p := labtest.Host(b, "a"), labtest.Host(b, "b")
	var of nics
	for id := range 8 {
		name := fmt.Sprintf("veth%d", id)
		labtest.Cable(b, a, name, p, name, lab.CableOptions{})
		labtest.Must(b, a.Shape(name, 1e6))
		of[id] = int32(indexOf(b, a, name))
	}
	g := gaugeOf(b, a)
	var sent [spread.MaxMembers]traffic
	var q [spread.MaxMembers]queue
	for _, n := range []int{1, 8} {
		some := of
		clear(some[n:])
		b.Run(fmt.Sprintf("traffic of %d", n), func(b *testing.B) {
			for b.Loop() {
				labtest.Must(b, g.traffic(&some, &sent))
			}
		})
	}
	b.Run("queues of 9 NICs", func(b *testing.B) {
		for b.Loop() {
			labtest.Must(b, g.queues(&of, &q))
		}
	})
}

// attr is a netlink attribute.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// told is a message of that kind.
func told(kind uint16, head, attrs []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(headerLen+len(head)+len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, headerLen-len(b))...)
	return append(append(b, head...), attrs...)
}

// answers are what the kernel says of a NIC and of a queueing discipline.
func answers() (all [2][]byte) {
	e := binary.NativeEndian
	stats := make([]byte, 24*8)
	e.PutUint64(stats[24:], 1<<40)
	e.PutUint64(stats[56:], 5)
	all[0] = told(unix.RTM_NEWSTATS, make([]byte, statsLen), attr(statsLink64, stats))
	head := make([]byte, tcLen)
	e.PutUint32(head[4:], 7)
	e.PutUint32(head[12:], tcRoot)
	passed := e.AppendUint64(nil, 1<<35)
	q := make([]byte, 20)
	e.PutUint32(q[4:], 65536)
	e.PutUint32(q[8:], 9)
	all[1] = told(unix.RTM_NEWQDISC, head, slices.Concat(attr(1, []byte("tbf\x00")),
		attr(1<<15|tcaStats2, slices.Concat(attr(tcaStatsBasic, append(passed, 0, 0, 0, 0)), attr(tcaStatsQueue, q)))))
	return all
}

func TestAnswersAreRead(t *testing.T) {
	b := answers()
	m, rest, ok := cutAnswer(slices.Concat(b[0], b[1]))
	var got traffic
	got.take(m)
	if want := (traffic{sent: 1 << 40, abandoned: 5, known: true}); !ok || got != want {
		t.Errorf("%v, %+v, want %+v", ok, got, want)
	}
	m, rest, ok = cutAnswer(rest)
	index, q, root := rootQueue(m)
	if want := (queue{passed: 1 << 35, waiting: 65536, dropped: 9}); !ok || !root || index != 7 || q != want || len(rest) > 0 {
		t.Errorf("%v, %v, of %d: %+v, want %+v", ok, root, index, q, want)
	}
	for n := range b[1] {
		if m, _, ok := cutAnswer(b[1][:n]); ok {
			t.Errorf("of %d bytes: %+v", n, m)
		}
	}
}

// Whatever comes in an answer, reading it ends and touches nothing else.
func FuzzReading(f *testing.F) {
	for _, b := range answers() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r traffic
		for n := 0; ; n++ {
			m, rest, ok := cutAnswer(b)
			if !ok {
				return
			}
			if len(m.body)+headerLen > len(b) || len(rest) > len(b)-headerLen || n > len(b) {
				t.Fatalf("message of %d and rest of %d from %d bytes", len(m.body), len(rest), len(b))
			}
			r.take(m)
			rootQueue(m)
			b = rest
		}
	})
}

func indexOf(t testing.TB, h *lab.Host, name string) int {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(t, err)
	return l.Attrs().Index
}
