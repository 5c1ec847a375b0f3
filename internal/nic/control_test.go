// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// bulk is a frame of 1400 octets as a sender of much has them.
func bulk() []byte {
	b := make([]byte, frame.VnetLen+1400)
	copy(b[frame.VnetLen:], testFrame(1e9))
	return b
}

// fill sends until the kernel accepts no more, with errno.
func fill(t *testing.T, s *Socket, errno error) {
	t.Helper()
	b := bulk()
	for range 1 << 16 {
		s.Queue(b)
		if f := s.Flush(); len(f) > 0 {
			if f[0].Errno != errno {
				t.Fatalf("bulk ends with %v, want %v", f[0].Errno, errno)
			}
			return
		}
	}
	t.Fatal("the kernel takes any amount")
}

// until receives until frame n has come, and returns how many others came before.
func until(t *testing.T, s *Socket, n int) (before int) {
	t.Helper()
	timer := time.AfterFunc(5*time.Second, func() { s.Close() })
	defer timer.Stop()
	for {
		k, err := s.Receive()
		labtest.Must(t, err)
		for i := range k {
			b := s.Frame(i)
			if b == nil || binary.BigEndian.Uint16(b[frame.VnetLen+12:]) != testType {
				continue
			}
			if binary.BigEndian.Uint32(b[frame.VnetLen+14:]) == uint32(n) {
				return before
			}
			before++
		}
	}
}

func TestSendIsNotRefusedForBulk(t *testing.T) {
	p := newPair(t, Options{})
	const rate = 20e6
	labtest.Must(t, p.host.Shape("a", rate))
	for _, tt := range []struct {
		name    string
		backlog int
		errno   error
	}{
		{"send buffer full", 64 << 10, unix.EAGAIN},
		{"the NIC's queue full", 64 << 20, unix.ENOBUFS},
	} {
		labtest.Must(t, p.a.SetBacklog(tt.backlog))
		fill(t, p.a, tt.errno)
		least := 1 << 30
		for n := range 10 {
			if tt.errno == unix.ENOBUFS {
				fill(t, p.a, tt.errno)
			}
			if err := p.a.SendControl(testFrame(n)); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			least = min(least, until(t, p.b, n))
		}
		// Those that the driver's queue holds already; and the best of ten, because more leave while this test stands
		// still.
		t.Logf("%s: a control frame comes behind %d frames", tt.name, least)
		if least > 300 {
			t.Errorf("%s: every control frame comes behind %d frames and more", tt.name, least)
		}
	}
	// What has gone to the driver directly was the exception.
	if v, err := bypass(p.a); err != nil || v != 0 {
		t.Errorf("PACKET_QDISC_BYPASS is %d afterwards, %v", v, err)
	}
}

func bypass(s *Socket) (v int, err error) {
	err = s.ctl.withFD(func(fd int) (err error) {
		v, err = unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS)
		return err
	})
	return v, err
}

func TestSendInOrderStaysBehindBulk(t *testing.T) {
	p := newPair(t, Options{Backlog: 256 << 10})
	labtest.Must(t, p.host.Shape("a", 20e6))
	b, sent := bulk(), 0
	for range 100 {
		p.a.Queue(b)
		if len(p.a.Flush()) == 0 {
			sent++
		}
	}
	labtest.Must(t, p.a.SendControlInOrder(testFrame(7)))
	if before := until(t, p.b, 7); before != sent {
		t.Errorf("it came behind %d of %d frames", before, sent)
	}
}

func TestControlSocketReceivesNothing(t *testing.T) {
	p := newPair(t, Options{})
	for n := range 100 {
		labtest.Must(t, p.b.SendControl(testFrame(n)))
	}
	until(t, p.a, 99)
	labtest.Must(t, p.a.ctl.withFD(func(fd int) error {
		st, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil && st.Packets != 0 {
			t.Errorf("%d frames were given to it", st.Packets)
		}
		return err
	}))
}

func TestControlFramesThatWait(t *testing.T) {
	p := newPair(t, Options{Backlog: 256 << 10})
	if n := p.a.ControlBacklog(); n != 0 {
		t.Errorf("%d octets wait at the beginning", n)
	}
	labtest.Must(t, p.host.Shape("a", 20e6))
	b := bulk()
	// All leaves in 60 ms, in which this test may stand still.
	labtest.Eventually(t, "a frame waits behind a full queue", func() bool {
		for range 100 {
			p.a.Queue(b)
			p.a.Flush()
		}
		return p.a.SendControlInOrder(testFrame(7)) == nil && p.a.ControlBacklog() > 0
	})
	labtest.Eventually(t, "all has left", func() bool { return p.a.ControlBacklog() == 0 })
}

// A frame that has left wakes nobody: no epoll set has the socket.
func TestControlSocketIsNotPolled(t *testing.T) {
	p := newPair(t, Options{})
	labtest.Must(t, p.a.ctl.withFD(func(fd int) error {
		infos, err := filepath.Glob("/proc/self/fdinfo/*")
		sets := 0
		for _, name := range infos {
			b, _ := os.ReadFile(name) // it may be closed meanwhile
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" {
					sets++
					if f[1] == strconv.Itoa(fd) {
						t.Errorf("%s has descriptor %d", name, fd)
					}
				}
			}
		}
		if sets == 0 {
			t.Error("no epoll set found")
		}
		return err
	}))
}

func TestSendWhileClosing(t *testing.T) {
	for range 5 {
		p := newPair(t, Options{})
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for {
					err := p.a.SendControl(testFrame(1))
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("send: %v", err)
						return
					}
				}
			})
		}
		labtest.Must(t, p.a.Close())
		all.Wait()
	}
}
