// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/lacp"
)

var losses = flag.Int("losses", 100, "with -soak: how often TestStandIns takes the carrier of a NIC, in each way")

// TestStandIns takes the carrier of NICs under 100 000 frames a second, again and again, and prints how many frames
// came to a NIC that had none any more, or to none. Frames that wait in a NIC when its carrier goes do not count: they
// are lost with any bond.
func TestStandIns(t *testing.T) {
	if !*soak {
		t.Skip("takes minutes: make soak SOAK=StandIns")
	}
	for _, mode := range []string{"active-backup", "xor", "elb", "round-robin", "802.3ad"} {
		t.Run(mode, func(t *testing.T) {
			b := newBareNICs(t, mode, 3, 100_000)
			for _, way := range []struct {
				name             string
				stopped, another bool
			}{{"one loss", false, false}, {"a second one 80 ms later", false, true},
				{"process stopped", true, false}, {"process stopped, a second one 80 ms later", true, true}} {
				var events []loss
				for range *losses {
					events = append(events, b.lose(way.stopped, way.another)...)
				}
				b.judge(mode+", "+way.name, events)
				if !way.stopped {
					b.logNoticed(events)
				}
			}
		})
	}
}

// TestStoppedProcessFailsOver stops the team's process and takes the carriers of two NICs: the third one sends.
func TestStoppedProcessFailsOver(t *testing.T) {
	parallelWithTraffic(t)
	b := newBareNICs(t, "active-backup", 3, 5000)
	if s := b.status(); s.Datapath != "fastpath" || s.DatapathReason != "eBPF" {
		t.Skipf("data path %s (%s)", s.Datapath, s.DatapathReason)
	}
	b.judge("a stopped process", b.lose(true, true))
}

// bareNICs are TAPs of box, whose other end is the test, in a team that sends numbered frames.
type bareNICs struct {
	*world
	taps    []*lab.TAP
	partner *lacpPartner // nil: none
	pid     int

	sent    atomic.Uint64 // the number of the last frame
	arrived []uint8       // by number, by which NIC a frame came, from 1 on; twice is its bit 7
	last    atomic.Int32  // by which the last one came
	stop    atomic.Bool   // of the sender
	ended   chan struct{} // the same
	up      [maxBareNICs]atomic.Bool
}

const (
	maxBareNICs = 8
	numbered    = 0x7374616e642d696e // a payload of these tests
	mostFrames  = 1 << 28
)

// loss is a carrier that went after frame from, and what became of the frames up to frame to.
type loss struct {
	nic      uint8
	from, to uint64
	at       time.Time
}

func newBareNICs(t *testing.T, mode string, n, rate int) *bareNICs {
	t.Helper()
	b := &bareNICs{world: newWorld(t, worldOptions{Cables: true, Datapath: "fastpath"}), ended: make(chan struct{}),
		arrived: make([]uint8, mostFrames)}
	var names []string
	for i := range n {
		name := fmt.Sprintf("tap%d", i+1)
		tap, err := lab.NewTAP(b.box, name)
		labtest.Must(t, err)
		t.Cleanup(func() { tap.Close() })
		l, err := b.box.Handle().LinkByName(name)
		labtest.Must(t, err)
		labtest.Must(t, b.box.Handle().LinkSetTxQLen(l, 60000)) // the test itself must lose none
		b.taps, names = append(b.taps, tap), append(names, name)
		b.up[i].Store(true)
	}
	more := []string{"--mode", mode, "--damping", "off"}
	if mode == "802.3ad" {
		more = append(more, "--lacp-rate", "fast")
		b.partner = newLACPPartner(b)
	}
	for i := range b.taps {
		go b.drain(i)
	}
	b.create(names, more...)
	labtest.Must(t, b.box.SetAddr(teamName, "10.7.0.1/24"))
	l, err := b.box.Handle().LinkByName(teamName)
	labtest.Must(t, err)
	labtest.Must(t, b.box.Handle().NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: netip.MustParseAddr("10.7.0.2").AsSlice(), HardwareAddr: []byte{2, 0, 0, 0, 0, 0x77}}))
	b.killKeeper()
	b.pid = b.teamProcess()
	b.awaitAll()
	labtest.Must(t, b.send(rate))
	t.Cleanup(func() { b.stop.Store(true); <-b.ended })
	labtest.Eventually(t, "frames", func() bool { return b.last.Load() != 0 })
	return b
}

// awaitAll waits until all members are usable.
func (b *bareNICs) awaitAll() {
	b.t.Helper()
	b.await("all members", func(s *api.Status) bool {
		usable := 0
		for _, m := range s.Members {
			if m.State == "up" || m.State == "standby" {
				usable++
			}
		}
		return s.State == "up" && usable == len(b.taps)
	})
}

// drain reads what NIC i transmits.
func (b *bareNICs) drain(i int) {
	buf := make([]byte, 4096)
	for {
		n, err := b.taps[i].Read(buf)
		if err != nil {
			return
		}
		f := buf[lab.VnetHeader:max(n, lab.VnetHeader)]
		if len(f) < 58 {
			continue
		}
		switch kind := binary.BigEndian.Uint16(f[12:]); {
		case kind == frame.TypeSlow && b.partner != nil:
			b.partner.receive(i, slices.Clone(f))
		case kind == frame.TypeIPv4 && binary.BigEndian.Uint64(f[42:]) == numbered:
			at := &b.arrived[binary.BigEndian.Uint64(f[50:])]
			if *at != 0 {
				*at |= 0x80
			} else {
				*at = uint8(i + 1)
			}
			b.last.Store(int32(i + 1))
		}
	}
}

// send sends numbered frames of 16 flows, so many a second.
func (b *bareNICs) send(rate int) error {
	var sockets []int
	err := b.box.Do(func() error {
		for range 16 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			sockets = append(sockets, fd)
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 7, 0, 2}, Port: 9}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	go func() {
		defer close(b.ended)
		defer func() {
			for _, fd := range sockets {
				unix.Close(fd)
			}
		}()
		runtime.LockOSThread()
		period := time.Second / time.Duration(rate)
		payload := make([]byte, 64)
		binary.BigEndian.PutUint64(payload, numbered)
		due := time.Now()
		for n := uint64(1); n < mostFrames && !b.stop.Load(); {
			if now := time.Now(); now.Before(due) {
				time.Sleep(due.Sub(now))
				continue
			} else if now.Sub(due) > time.Millisecond {
				due = now // the machine stood still
			}
			b.sent.Store(n)
			binary.BigEndian.PutUint64(payload[8:], n)
			if _, err := unix.Write(sockets[n%16], payload); err == nil {
				n++
			}
			due = due.Add(period)
		}
	}()
	return nil
}

// setCarrier sets the carrier of NIC i, from 1 on.
func (b *bareNICs) setCarrier(i int32, on bool) {
	b.t.Helper()
	labtest.Must(b.t, b.taps[i-1].SetCarrier(on))
	b.up[i-1].Store(on)
}

// lose takes the carrier of a NIC that sends, and 80 ms later that of another one that does.
func (b *bareNICs) lose(stopped, another bool) (events []loss) {
	b.t.Helper()
	if stopped {
		labtest.Must(b.t, unix.Kill(b.pid, unix.SIGSTOP))
	}
	n := 1
	if another {
		n = 2
	}
	var cut []int32
	for range n {
		nic := b.last.Load()
		if !b.up[nic-1].Load() { // the last frames that waited in it have just been read
			nic = nic%int32(len(b.taps)) + 1
		}
		b.setCarrier(nic, false)
		cut = append(cut, nic)
		e := loss{nic: uint8(nic), from: b.sent.Load(), at: time.Now()}
		time.Sleep(80 * time.Millisecond) // what the test is about
		e.to = max(e.from, b.sent.Load()-1)
		events = append(events, e)
	}
	if b.partner != nil {
		b.partner.configure()
	}
	for _, nic := range cut {
		b.setCarrier(nic, true)
	}
	if stopped {
		labtest.Must(b.t, unix.Kill(b.pid, unix.SIGCONT))
	}
	if b.partner != nil {
		b.partner.configure()
	}
	time.Sleep(20 * time.Millisecond)
	b.awaitAll()
	return events
}

// judge counts what was lost.
func (b *bareNICs) judge(what string, events []loss) {
	b.t.Helper()
	time.Sleep(100 * time.Millisecond) // until all frames are read
	var lost []int
	doubled, astray, sent := 0, 0, uint64(0)
	for _, e := range events {
		sent += e.to - e.from
		n := 0
		for _, by := range b.arrived[e.from+1 : e.to+1] {
			switch {
			case by == 0:
				n++
			case by == e.nic:
				n++
				astray++
			case by&0x80 != 0:
				doubled++
			}
		}
		lost = append(lost, n)
	}
	slices.Sort(lost)
	at := func(of float64) int { return lost[int(of*float64(len(lost)-1)+0.5)] }
	b.t.Logf("%-60s %d losses, frames lost: median %d, p90 %d, p99 %d, worst %d, of %d sent in the 80 ms "+
		"after it; %d of all by the dead NIC", what, len(lost), at(0.5), at(0.9), at(0.99), lost[len(lost)-1],
		sent/uint64(len(lost)), astray)
	if at(0.5) > 0 || at(0.99) > 1 || doubled > 0 {
		b.t.Errorf("%s: median %d, p99 %d, %d doubled", what, at(0.5), at(0.99), doubled)
	}
}

// logNoticed logs when the process noticed losses.
func (b *bareNICs) logNoticed(events []loss) {
	b.t.Helper()
	var all []api.Event
	for line := range strings.Lines(b.nicteam("events", teamName, "--json")) {
		var e api.Event
		labtest.Must(b.t, json.Unmarshal([]byte(line), &e))
		if e.Event == "member-down" {
			all = append(all, e)
		}
	}
	var after []time.Duration
	for _, l := range events {
		name := fmt.Sprintf("tap%d", l.nic)
		for _, e := range all {
			if d := e.Time.Sub(l.at); e.Member == name && d > -time.Millisecond && d < 80*time.Millisecond {
				after = append(after, d)
				break
			}
		}
	}
	if slices.Sort(after); len(after) > 0 {
		b.t.Logf("%d of %d noticed by the process after %v in the median, %v at worst", len(after), len(events),
			after[len(after)/2], after[len(after)-1])
	}
}

// lacpPartner is a switch that aggregates all NICs.
type lacpPartner struct {
	b      *bareNICs
	mu     sync.Mutex
	system *lacp.System
}

func newLACPPartner(b *bareNICs) *lacpPartner {
	p := &lacpPartner{b: b, system: lacp.New(lacp.Config{}, nil)}
	p.configure()
	stop := make(chan struct{})
	b.t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.do(func(now time.Time) lacp.Out { return p.system.Tick(now) })
			}
		}
	}()
	return p
}

func (p *lacpPartner) do(f func(now time.Time) lacp.Out) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range f(time.Now()).Send {
		b := slices.Concat(make([]byte, lab.VnetHeader), s.Frame)
		if len(s.Frame) < 60 {
			b = append(b, make([]byte, 60-len(s.Frame))...)
		}
		_, _ = p.b.taps[s.Port].Write(b)
	}
}

// configure follows the carriers.
func (p *lacpPartner) configure() {
	var ports []lacp.PortConfig
	for i := range p.b.taps {
		ports = append(ports, lacp.PortConfig{ID: i, Name: fmt.Sprint(i), MAC: frame.MAC(0x020000000080 + uint64(i)),
			Number: uint16(i + 1), Priority: 1, Up: p.b.up[i].Load(), SpeedBps: 10e9})
	}
	p.do(func(now time.Time) lacp.Out {
		return p.system.Configure(now, lacp.Config{System: lacp.SystemID{Priority: 1, MAC: 0x020000000080}, UserKey: 7,
			Fast: true}, ports)
	})
}

func (p *lacpPartner) receive(i int, b []byte) {
	p.do(func(now time.Time) lacp.Out { return p.system.Receive(now, i, b) })
}
