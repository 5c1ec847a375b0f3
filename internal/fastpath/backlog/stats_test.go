// SPDX-License-Identifier: MIT

package backlog

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

func TestMain(m *testing.M) { labtest.Main(m) }

// statsOf opens a reader in a host.
func statsOf(t testing.TB, h *lab.Host) (g *StatsReader) {
	t.Helper()
	labtest.Must(t, h.Do(func() (err error) {
		g, err = OpenStatsReader()
		return err
	}))
	t.Cleanup(func() { labtest.Check(t, g.Close()) })
	return g
}

// A full NIC has a qdisc backlog, transmitted bytes and drops.
func TestReadCounters(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	labtest.Cable(t, a, "veth0", b, "veth0", lab.CableOptions{})
	labtest.Wire(t, a, "tap0", b, "tap0", lab.WireOptions{})
	labtest.Must(t, a.SetAddr("veth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("veth0", "10.9.0.2/24"))
	labtest.Must(t, a.Shape("veth0", 1e6))
	g := statsOf(t, a)
	of := Indexes{3: 1 << 20}
	for id, name := range []string{"veth0", "tap0", "lo"} {
		of[id] = int32(indexOf(t, a, name))
	}
	var first, now [spread.MaxMembers]LinkStats
	var before, q [spread.MaxMembers]QdiscStats
	labtest.Must(t, g.ReadLinks(&of, &first))
	labtest.Must(t, g.ReadQdiscs(&of, &before))
	for id, want := range []bool{true, true, true, false, false} {
		if first[id].Present != want || before[id].Backlog > 0 {
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
		labtest.Must(t, g.ReadLinks(&of, &now))
		labtest.Must(t, g.ReadQdiscs(&of, &q))
		return q[0].Backlog > 64<<10 && q[0].Drops > before[0].Drops && now[0].TxBytes > first[0].TxBytes
	})
	if q[1].Drops != before[1].Drops || now[2].TxDropped != first[2].TxDropped {
		t.Errorf("drops of NICs that were not used: %+v, %+v", q[1], now[2])
	}
	labtest.Must(t, g.Close())
	if g.ReadLinks(&of, &now) == nil || g.ReadQdiscs(&of, &q) == nil {
		t.Error("a closed reader reads")
	}
	labtest.Must(t, g.Close())
}

// Reading is no change: listeners for changes of qdiscs are not notified.
func TestReadingNotifiesNobody(t *testing.T) {
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
	g := statsOf(t, a)
	of := Indexes{int32(indexOf(t, a, "veth0"))}
	for range 10 {
		labtest.Must(t, g.ReadLinks(&of, new([spread.MaxMembers]LinkStats)))
		labtest.Must(t, g.ReadQdiscs(&of, new([spread.MaxMembers]QdiscStats)))
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 4096), unix.MSG_DONTWAIT)
	if err != unix.EAGAIN {
		t.Errorf("listeners got %d bytes: %v", n, err)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	g, err := OpenStatsReader()
	labtest.Must(t, err)
	defer g.Close()
	of := Indexes{1, 1, 1, 1}
	var sent [spread.MaxMembers]LinkStats
	var q [spread.MaxMembers]QdiscStats
	n := testing.AllocsPerRun(100, func() {
		labtest.Must(t, g.ReadLinks(&of, &sent))
		labtest.Must(t, g.ReadQdiscs(&of, &q))
	})
	if n > 0 {
		t.Errorf("%v allocations a reading", n)
	}
}

func BenchmarkRead(b *testing.B) {
	a, p := labtest.Host(b, "a"), labtest.Host(b, "b")
	var of Indexes
	for id := range 8 {
		name := fmt.Sprintf("veth%d", id)
		labtest.Cable(b, a, name, p, name, lab.CableOptions{})
		labtest.Must(b, a.Shape(name, 1e6))
		of[id] = int32(indexOf(b, a, name))
	}
	g := statsOf(b, a)
	var sent [spread.MaxMembers]LinkStats
	var q [spread.MaxMembers]QdiscStats
	for _, n := range []int{1, 8} {
		some := of
		clear(some[n:])
		b.Run(fmt.Sprintf("links of %d", n), func(b *testing.B) {
			for b.Loop() {
				labtest.Must(b, g.ReadLinks(&some, &sent))
			}
		})
	}
	b.Run("qdiscs of 9 NICs", func(b *testing.B) {
		for b.Loop() {
			labtest.Must(b, g.ReadQdiscs(&of, &q))
		}
	})
}

// attr is a netlink attribute.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// netlinkMessage is a message of that kind.
func netlinkMessage(kind uint16, head, attrs []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(nlmsgLen+len(head)+len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, nlmsgLen-len(b))...)
	return append(append(b, head...), attrs...)
}

// answers are messages of the kernel about a NIC and a qdisc.
func answers() (all [2][]byte) {
	e := binary.NativeEndian
	stats := make([]byte, 24*8)
	e.PutUint64(stats[24:], 1<<40)
	e.PutUint64(stats[56:], 5)
	all[0] = netlinkMessage(unix.RTM_NEWSTATS, make([]byte, ifStatsLen), attr(statsLink64, stats))
	head := make([]byte, tcmsgLen)
	e.PutUint32(head[4:], 7)
	e.PutUint32(head[12:], tcRoot)
	passed := e.AppendUint64(nil, 1<<35)
	q := make([]byte, 20)
	e.PutUint32(q[4:], 65536)
	e.PutUint32(q[8:], 9)
	all[1] = netlinkMessage(unix.RTM_NEWQDISC, head, slices.Concat(attr(1, []byte("tbf\x00")),
		attr(1<<15|tcaStats2, slices.Concat(attr(tcaStatsBasic, append(passed, 0, 0, 0, 0)), attr(tcaStatsQueue, q)))))
	return all
}

func TestParse(t *testing.T) {
	b := answers()
	m, rest, ok := cutMessage(slices.Concat(b[0], b[1]))
	var got LinkStats
	got.parse(m)
	if want := (LinkStats{TxBytes: 1 << 40, TxDropped: 5, Present: true}); !ok || got != want {
		t.Errorf("%v, %+v, want %+v", ok, got, want)
	}
	m, rest, ok = cutMessage(rest)
	index, q, root := parseRootQdisc(m)
	if want := (QdiscStats{SentBytes: 1 << 35, Backlog: 65536, Drops: 9}); !ok || !root || index != 7 || q != want ||
		len(rest) > 0 {
		t.Errorf("%v, %v, of %d: %+v, want %+v", ok, root, index, q, want)
	}
	for n := range b[1] {
		if m, _, ok := cutMessage(b[1][:n]); ok {
			t.Errorf("of %d bytes: %+v", n, m)
		}
	}
}

// Parsing ends, and stays within the message.
func FuzzParse(f *testing.F) {
	for _, b := range answers() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r LinkStats
		for n := 0; ; n++ {
			m, rest, ok := cutMessage(b)
			if !ok {
				return
			}
			if len(m.body)+nlmsgLen > len(b) || len(rest) > len(b)-nlmsgLen || n > len(b) {
				t.Fatalf("message of %d and rest of %d from %d bytes", len(m.body), len(rest), len(b))
			}
			r.parse(m)
			parseRootQdisc(m)
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
