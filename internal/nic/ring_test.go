// SPDX-License-Identifier: MIT

package nic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// testRing is a Ring in this process.
type testRing struct {
	fd     int // an eventfd
	mu     sync.Mutex
	frames [][]byte
	tpid   uint16
}

func newTestRing(t *testing.T) *testRing {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	labtest.Must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return &testRing{fd: fd}
}

func (r *testRing) put(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, b)
	_, _ = unix.Write(r.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (r *testRing) FD() int { return r.fd }

func (r *testRing) Read(b []byte) (n int, tpid, tci uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) == 0 {
		_, _ = unix.Read(r.fd, make([]byte, 8))
		return 0, 0, 0
	}
	n = copy(b, r.frames[0])
	r.frames = r.frames[1:]
	return n, r.tpid, 7
}

// numbers are those of test frames.
func numbers(frames [][]byte) (all []int) {
	for _, b := range frames {
		all = append(all, int(binary.BigEndian.Uint32(b[len(b)-60+14:])))
	}
	return all
}

// A socket that does not listen gets nothing, says so when its NIC goes down, and sends as before: the EtherType of a
// frame is the frame's, which a super-frame would not pass without. Then it listens again.
func TestStopListening(t *testing.T) {
	store := descriptorstest.New(t)
	p := newPair(t, Options{Store: store})
	sends := func(s *Socket) {
		t.Helper()
		super := superFrame(20000, 1448)
		for _, b := range [][]byte{withHeader(testFrame(1)), super, withHeader(testFrame(3))} {
			s.Queue(b)
		}
		if f := s.Flush(); len(f) > 0 {
			t.Errorf("not sent: %v", f)
		}
		got := collect(t, p.b, 3)
		if len(got[1]) != len(super) || frame.GSOAt(got[1]) != frame.GSOTCPv4 {
			t.Errorf("a super-frame of %d octets came as %d, of type %d", len(super), len(got[1]), frame.GSOAt(got[1]))
		}
		for i, want := range [][]byte{testFrame(1), super[frame.VnetLen:], testFrame(3)} {
			if !bytes.Equal(got[i][frame.VnetLen:], want) {
				t.Errorf("frame %d came as %x", i, got[i][:min(80, len(got[i]))])
			}
		}
	}
	hears := func(s *Socket, n int) {
		t.Helper()
		labtest.Must(t, p.b.SendControl(testFrame(n)))
		if got := numbers(collect(t, s, 1)); got[0] != n {
			t.Errorf("received %d, want %d", got[0], n)
		}
	}
	s := p.a
	hears(s, 10)
	s.PrepareStop()
	sends(s)
	labtest.Must(t, s.StopListening())
	sends(s)
	labtest.Must(t, p.b.SendControl(testFrame(11)))
	if n, err := s.Poll(); n != 0 || err != nil || s.Listening() {
		t.Errorf("it has %d frames, %v, and listens: %v", n, err, s.Listening())
	}
	labtest.Must(t, p.host.Down("a"))
	if _, err := s.Receive(); !errors.Is(err, ErrDown) {
		t.Errorf("receive from a NIC that went down: %v", err)
	}
	labtest.Must(t, p.host.Up("a"))
	labtest.Eventually(t, "carrier", p.b.Carrier)
	if n, err := p.b.Poll(); n != 0 || err != nil && !errors.Is(err, ErrDown) {
		t.Errorf("it receives %d, %v", n, err)
	}
	die(t, s)
	s, err := adopt(t, p, store, p.a.opt)
	labtest.Must(t, err)
	if s.Listening() {
		t.Error("the next process's listens")
	}
	sends(s)
	labtest.Must(t, s.Listen())
	sends(s)
	hears(s, 12)
}

// What waits is read in the order that was set, and a frame that comes by either wakes the reader.
func TestRingOrder(t *testing.T) {
	p := newPair(t, Options{})
	r := newTestRing(t)
	r.tpid = frame.TypeQinQ
	for order, want := range map[RingOrder][]int{RingFirst: {2, 1}, RingLast: {1, 2}, NoRing: {1}} {
		r.frames = nil
		labtest.Must(t, p.a.SetRing(r, order))
		labtest.Must(t, p.b.SendControl(testFrame(1)))
		labtest.Must(t, WaitForReceived())
		r.put(testFrame(2))
		got := collect(t, p.a, len(want))
		for i, n := range numbers(got) {
			if n != want[i] {
				t.Errorf("order %d: %v, want %v", order, numbers(got), want)
				break
			}
			tagged := binary.BigEndian.Uint16(got[i][frame.VnetLen+12:]) == frame.TypeQinQ
			if tagged != (n == 2) {
				t.Errorf("frame %d has a tag: %v", n, tagged)
			}
		}
		if n, err := p.a.Poll(); n > 0 || err != nil {
			t.Errorf("order %d: %d more, %v", order, n, err)
		}
	}
	r.frames = nil
	labtest.Must(t, p.a.SetRing(r, RingLast))
	for i := range 200 {
		go func() {
			time.Sleep(time.Duration(i%5) * 50 * time.Microsecond)
			if i%2 == 0 {
				r.put(testFrame(i))
			} else {
				_ = p.b.SendControl(testFrame(i))
			}
		}()
		if got := numbers(collect(t, p.a, 1)); got[0] != i {
			t.Fatalf("received %d, want %d", got[0], i)
		}
	}
	labtest.Must(t, p.a.SetRing(nil, NoRing))
	r.put(testFrame(1))
	if n, err := p.a.Poll(); n > 0 || err != nil {
		t.Errorf("a ring that is not read: %d, %v", n, err)
	}
}
