// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/team"
)

// dropped is how many frames found no room on a busy machine, and what handovers have dropped, by where.
func (g *rig) dropped() map[string]uint64 {
	g.Helper()
	c := g.totals()
	n := map[string]uint64{"the adapter's queue": g.overrun(),
		"transmission, by a handover": c.Adapter.TXDrop[team.DropBacklog]}
	for id := range g.links {
		m := &c.Members[id]
		n["transmission, for want of room in the NIC's queue"] += m.TXDrop[team.DropBacklog]
		n["reception, by a handover or for want of room in the relay's socket"] += m.RXDrop[team.DropSocket]
		n["the adapter"] += m.RXDrop[team.DropAdapter]
	}
	of := func(name string, line func(f []string)) {
		all, err := os.ReadFile(name)
		labtest.Must(g, err)
		for l := range strings.Lines(string(all)) {
			line(strings.Fields(l))
		}
	}
	of("/proc/net/softnet_stat", func(f []string) {
		if drops, err := strconv.ParseUint(f[1], 16, 32); err == nil {
			n["processors' queues, of all namespaces"] += drops
		}
	})
	for _, h := range []*lab.Host{g.host, g.peer} {
		labtest.Must(g, h.Do(func() error {
			of("/proc/thread-self/net/snmp", func(f []string) {
				const noRoom = 5 // RcvbufErrors
				if len(f) > noRoom && f[0] == "Udp:" {
					drops, _ := strconv.ParseUint(f[noRoom], 10, 64)
					n["sockets of UDP"] += drops
				}
			})
			return nil
		}))
	}
	return n
}

// numbered are frames of ARP that the peer sends all the time, each with a number.
type numbered struct {
	sent, received atomic.Uint64
	missing        atomic.Uint64
	wrong          atomic.Pointer[string]
	stop           chan struct{}
	done           chan struct{}
}

// numberARPs has the peer send so many a second.
func (g *rig) numberARPs(t *testing.T, rate int) *numbered {
	t.Helper()
	a := &numbered{stop: make(chan struct{}), done: make(chan struct{})}
	adapter := listenTo(t, g.host, "team0")
	labtest.Must(t, unix.SetsockoptInt(adapter, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	labtest.Must(t, unix.SetsockoptInt(adapter, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
	peer := g.peerSocket(0)
	b := arpAnswer(frame.Broadcast, 0x0200000000bd)
	copy(b[28:], []byte{10, 9, 0, 99}) // nobody's
	at := len(b) - 8
	end := func() {
		select {
		case <-a.stop:
		default:
			close(a.stop)
		}
	}
	t.Cleanup(func() { end(); <-a.done })
	go func() {
		defer close(a.done)
		// A cable's frames wait in the queue of the processor that sent them, and those of another one overtake them.
		// The thread ends with the goroutine.
		runtime.LockOSThread()
		if _, err := onFirstProcessor(); err != nil {
			s := err.Error()
			a.wrong.Store(&s)
			return
		}
		for n, next := uint64(1), time.Now(); ; n++ {
			select {
			case <-a.stop:
				return
			default:
			}
			binary.BigEndian.PutUint64(b[at:], n)
			switch err := peer.SendControl(b); {
			case err == nil:
				a.sent.Store(n)
			case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS): // too many are on their way
				n--
			default:
				s := err.Error()
				a.wrong.Store(&s)
				return
			}
			next = next.Add(time.Second / time.Duration(rate))
			time.Sleep(time.Until(next))
		}
	}()
	go func() {
		last := uint64(0)
		for b := make([]byte, 4000); ; {
			n, _, err := unix.Recvfrom(adapter, b, 0)
			if errors.Is(err, unix.EINTR) { // SO_RCVTIMEO
				continue
			}
			if err != nil {
				return
			}
			if n != at+8 || frame.MACAt(b, 6) != 0x0200000000bd {
				continue
			}
			switch got := binary.BigEndian.Uint64(b[at:]); {
			case got > last:
				a.missing.Add(got - last - 1)
				last = got
				a.received.Store(got)
			default:
				s := fmt.Sprintf("frame %d came after %d", got, last)
				a.wrong.CompareAndSwap(nil, &s)
			}
		}
	}()
	return a
}

// flow waits for some more.
func (a *numbered) flow(t *testing.T) {
	t.Helper()
	if s := a.wrong.Load(); s != nil {
		t.Fatal(*s)
	}
	want := a.received.Load() + 20
	labtest.Eventually(t, "numbered frames", func() bool { return a.received.Load() >= want })
}

// check checks that all have come once, in order, and returns how many have not.
func (a *numbered) check(t *testing.T) (missing uint64) {
	t.Helper()
	close(a.stop)
	<-a.done
	labtest.Eventually(t, fmt.Sprintf("all of %d numbered frames", a.sent.Load()),
		func() bool { return a.received.Load() == a.sent.Load() })
	if s := a.wrong.Load(); s != nil {
		t.Error(*s)
	}
	missing = a.missing.Load()
	t.Logf("%d numbered frames, %d have not come", a.sent.Load(), missing)
	return missing
}
