// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/team"
)

// lane is numbered frames of several kinds in turn, which stay in order among themselves.
type lane struct {
	name  string
	kinds [][]byte // each ends with room for a lane's mark
	every int      // sent each so many beats
	send  func(b []byte) error

	sent atomic.Uint64

	mu                           sync.Mutex // what the receiver writes
	seen                         []bool
	received, doubled, reordered uint64
	highest                      uint64
}

const (
	laneMagic = 0x6c616e65
	laneMark  = 4 + 1 + 8 // magic, lane, number
	// laneBeat is how often the lanes' sender wakes.
	laneBeat = 2 * time.Millisecond
)

// put writes a lane's mark to the end of a frame.
func putLane(b []byte, index int, n uint64) {
	m := b[len(b)-laneMark:]
	binary.BigEndian.PutUint32(m, laneMagic)
	m[4] = byte(index)
	binary.BigEndian.PutUint64(m[5:], n)
}

// laneOf reads a mark.
func laneOf(b []byte) (index int, n uint64, ok bool) {
	if len(b) < frame.EtherLen+laneMark {
		return 0, 0, false
	}
	m := b[len(b)-laneMark:]
	return int(m[4]), binary.BigEndian.Uint64(m[5:]), binary.BigEndian.Uint32(m) == laneMagic
}

// arrive counts frame n.
func (l *lane) arrive(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uint64(len(l.seen)) <= n {
		l.seen = append(l.seen, false)
	}
	switch {
	case l.seen[n]:
		l.doubled++
		return
	case n < l.highest:
		l.reordered++
	}
	l.seen[n] = true
	l.highest = max(l.highest, n)
	l.received++
}

func (l *lane) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.received
}

// lanes are all that run, some each way.
type lanes struct {
	all  []*lane
	stop chan struct{}
	done chan struct{}
	err  atomic.Pointer[error]
}

// control are frames for the relay, which have a way of their own through the programs, without a tag and behind one to
// three.
func laneOfControl(dst, src frame.MAC) (all [][]byte) {
	const vlan, service = frame.TypeVLAN, frame.TypeQinQ
	request := arpAnswer(dst, src)[14:42]
	copy(request[14:], []byte{10, 9, 0, 99}) // nobody's
	solicit := stack(append([]byte{135}, make([]byte, 31)...), ipv6(frame.ProtoICMPv6))
	for _, tags := range [][]uint16{{}, {vlan}, {service, vlan}, {service}, {vlan, service, vlan}} {
		for kind, inside := range map[uint16][]byte{frame.TypeARP: request, frame.TypeIPv6: solicit} {
			all = append(all, taggedFrame(dst, src, tags, kind, inside))
		}
	}
	return all
}

// laneOfData are frames that the programs move by themselves, behind tags.
func laneOfData(dst, src frame.MAC) (all [][]byte) {
	inside := stack(make([]byte, 100), ipv4(frame.ProtoUDP, 0, 0), udp(7, 8))
	for _, tags := range [][]uint16{{frame.TypeVLAN}, {frame.TypeQinQ, frame.TypeVLAN}} {
		all = append(all, taggedFrame(dst, src, tags, frame.TypeIPv4, inside))
	}
	return all
}

// laneOfLearning are learning frames.
func laneOfLearning(src frame.MAC) (all [][]byte) {
	for _, vlan := range []uint16{0, 7} {
		all = append(all, append(frame.RARP(src, vlan), make([]byte, laneMark)...))
	}
	return all
}

// taggedFrame has room for a lane's mark at its end.
func taggedFrame(dst, src frame.MAC, tags []uint16, kind uint16, inside []byte) []byte {
	kinds := append(append([]uint16(nil), tags...), kind)
	parts := []part{ether(dst, src, kinds[0])}
	for i := range tags {
		parts = append(parts, tag(uint16(7+i), kinds[i+1]))
	}
	return append(stack(inside, parts...), make([]byte, laneMark)...)
}

// rawSocket is a packet socket on a NIC that sees nothing of untagged IPv4.
func (g *rig) rawSocket(h *lab.Host, name string) (fd int) {
	g.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(g, err)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMem(asm.R7, asm.R1, 20, asm.Word), // vlan_present
			asm.JNE.Imm(asm.R7, 0, "in"),
			asm.LoadAbs(12, asm.Half),
			asm.JNE.Imm(asm.R0, frame.TypeIPv4, "in"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R0, -1).WithSymbol("in"),
			asm.Return(),
		}})
	labtest.Must(g, err)
	defer p.Close()
	labtest.Must(g, h.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		const all = 0x0300
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, p.FD()),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 10_000}),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}))
	}))
	g.Cleanup(func() { unix.Close(fd) })
	return fd
}

// lanes starts all kinds each way, some 1600 frames a second, 10 of them a second LACPDUs each way.
func (g *rig) lanes(t *testing.T) *lanes {
	t.Helper()
	const stranger = frame.MAC(0x0200000000bd)
	near, far := g.rawSocket(g.host, "team0"), g.rawSocket(g.peer, "p0")
	by := func(fd int) func([]byte) error {
		return func(b []byte) error { _, err := unix.Write(fd, b); return err }
	}
	member := func(b []byte) error { return g.path.Send(0, b) }
	lacp := func(src frame.MAC) [][]byte { return [][]byte{slowFrame(src, 0)} }
	r := &lanes{stop: make(chan struct{}), done: make(chan struct{}), all: []*lane{
		{name: "in: control frames", kinds: laneOfControl(frame.Broadcast, stranger), every: 1, send: by(far)},
		{name: "in: data with tags", kinds: laneOfData(adapterMAC, stranger), every: 2, send: by(far)},
		{name: "in: learning frames", kinds: laneOfLearning(stranger), every: 10, send: by(far)},
		{name: "in: LACPDUs", kinds: lacp(stranger), every: 50, send: by(far)},
		{name: "out: control frames", kinds: laneOfControl(frame.Broadcast, adapterMAC), every: 1, send: by(near)},
		{name: "out: data with tags", kinds: laneOfData(stranger, adapterMAC), every: 2, send: by(near)},
		{name: "out: learning frames", kinds: laneOfLearning(adapterMAC), every: 10, send: member},
		{name: "out: LACPDUs", kinds: lacp(memberMAC(0)), every: 50, send: member},
	}}
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(r.send)
	for _, fd := range []int{near, far} {
		all.Go(func() { r.receive(fd, end) })
	}
	all.Go(func() { r.hear(g.path.Control(), end) })
	t.Cleanup(func() { r.halt(); close(end); all.Wait() })
	return r
}

// halt ends the sending.
func (r *lanes) halt() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	<-r.done
}

// send is the sender of all lanes, on one processor: the frames of a cable wait in the queue of the processor that sent
// them.
func (r *lanes) send() {
	defer close(r.done)
	runtime.LockOSThread() // and ends with the goroutine
	if _, err := onFirstProcessor(); err != nil {
		r.fail(err)
		return
	}
	for beat := 0; ; beat++ {
		select {
		case <-r.stop:
			return
		default:
		}
		for i, l := range r.all {
			if beat%l.every > 0 {
				continue
			}
			n := l.sent.Load()
			b := l.kinds[n%uint64(len(l.kinds))]
			putLane(b, i, n)
			switch err := l.send(b); {
			case err == nil:
				l.sent.Add(1)
			case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN): // it goes with the next beat
			default:
				r.fail(fmt.Errorf("%s: %w", l.name, err))
				return
			}
		}
		time.Sleep(laneBeat)
	}
}

func (r *lanes) fail(err error) { r.err.CompareAndSwap(nil, &err) }

// receive reads a packet socket.
func (r *lanes) receive(fd int, end <-chan struct{}) {
	for b := make([]byte, 4000); ; {
		select {
		case <-end:
			return
		default:
		}
		n, err := unix.Read(fd, b)
		switch {
		case err == nil:
			r.take(b[:n])
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		default:
			r.fail(err)
			return
		}
	}
}

// hear reads what the control loop gets.
func (r *lanes) hear(control <-chan team.Control, end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case c := <-control:
			if c.Kind == team.ControlFrame {
				r.take(c.Frame)
			}
		}
	}
}

func (r *lanes) take(b []byte) {
	if i, n, ok := laneOf(b); ok && i < len(r.all) {
		r.all[i].arrive(n)
	}
}

// flow waits for some more of each lane that is sent often.
func (r *lanes) flow(t *testing.T) {
	t.Helper()
	for _, l := range r.all {
		if l.every > 2 {
			continue
		}
		want := l.count() + 10
		labtest.Eventually(t, "frames of "+l.name, func() bool { return r.err.Load() != nil || l.count() >= want })
	}
	if err := r.err.Load(); err != nil {
		t.Fatal(*err)
	}
}

// end ends the lanes, wants each frame that has arrived once and in order, and returns how many have not arrived.
func (r *lanes) end(t *testing.T) (missing uint64) {
	t.Helper()
	r.halt()
	for _, l := range r.all {
		for last := uint64(0); l.count() < l.sent.Load(); last = l.count() {
			time.Sleep(100 * time.Millisecond) // by when what is under way has arrived
			if l.count() == last {
				break
			}
		}
		l.mu.Lock()
		lost := l.sent.Load() - l.received
		t.Logf("%s: sent %d, lost %d, doubled %d, reordered %d", l.name, l.sent.Load(), lost, l.doubled, l.reordered)
		missing += lost
		if l.doubled > 0 || l.reordered > 0 {
			t.Errorf("%s: doubled %d, reordered %d", l.name, l.doubled, l.reordered)
		}
		l.mu.Unlock()
	}
	return missing
}
