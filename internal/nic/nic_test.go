// SPDX-License-Identifier: MIT

package nic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const testType = 0x88b5 // IEEE: local experiments

// pair is a cable, a, which filters, in one namespace and b in another, and a socket on each end.
type pair struct {
	host, peer *lab.Host
	a, b       *Socket
}

func newPair(t *testing.T, o Options) *pair {
	t.Helper()
	labtest.Root(t)
	p := &pair{host: labtest.Host(t, "host"), peer: labtest.Host(t, "peer")}
	for _, h := range []*lab.Host{p.host, p.peer} {
		labtest.Must(t, h.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
	}
	labtest.Cable(t, p.host, "a", p.peer, "b", lab.CableOptions{EagerCarrier: true})
	p.a, p.b = open(t, p.host, "a", o), open(t, p.peer, "b", Options{})
	labtest.Eventually(t, "carrier", func() bool { return p.a.Carrier() && p.b.Carrier() })
	return p
}

func open(t *testing.T, h *lab.Host, name string, o Options) (s *Socket) {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(t, err)
	o.Name, o.Index, o.MAC = name, l.Attrs().Index, frame.MACFrom(l.Attrs().HardwareAddr)
	labtest.Must(t, h.Do(func() (err error) { s, err = Open(o); return err }))
	t.Cleanup(func() { s.Close() })
	return s
}

func testFrame(n int) []byte {
	b := make([]byte, 60)
	frame.Broadcast.Put(b, 0)
	frame.MAC(0x020000000001).Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], testType)
	binary.BigEndian.PutUint32(b[14:], uint32(n))
	return b
}

func withHeader(b []byte) []byte { return append(make([]byte, frame.VnetLen), b...) }

// collect receives until n frames of testType or IP came.
func collect(t *testing.T, s *Socket, n int) (frames [][]byte) {
	t.Helper()
	timer := time.AfterFunc(5*time.Second, func() { s.Close() })
	defer timer.Stop()
	for len(frames) < n {
		k, err := s.Receive()
		labtest.Must(t, err)
		for i := range k {
			if b := s.Frame(i); b != nil {
				frames = append(frames, bytes.Clone(b))
			}
		}
	}
	return frames
}

// superFrame is [header][TCP over IPv4 of n octets], to be cut at size.
func superFrame(n, size int) []byte {
	b := make([]byte, 54+n)
	frame.Broadcast.Put(b, 0)
	frame.MAC(0x020000000001).Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, frame.ProtoTCP
	binary.BigEndian.PutUint16(ip[2:], uint16(40+n))
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(ip[10:], frame.Checksum(ip[:20]))
	tcp := ip[20:]
	tcp[12] = 5 << 4
	for i := range n {
		tcp[20+i] = byte(i)
	}
	binary.BigEndian.PutUint16(tcp[16:], frame.Fold(frame.PseudoSum(b, 14, frame.ProtoTCP, 20+n)))
	v := frame.Vnet{Flags: frame.NeedsCsum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: uint16(size), CsumStart: 34,
		CsumOffset: 16}
	out := withHeader(b)
	v.Marshal(out)
	return out
}

func TestBatchesPass(t *testing.T) {
	p := newPair(t, Options{})
	var want [][]byte
	for i := range 20 {
		b := withHeader(testFrame(i))
		want = append(want, b)
		if got := p.a.Queue(b); got != i {
			t.Errorf("index %d, want %d", got, i)
		}
	}
	if f := p.a.Flush(); len(f) != 0 || p.a.Queued() != 0 {
		t.Fatalf("failures %v, %d queued", f, p.a.Queued())
	}
	if diff := cmp.Diff(want, collect(t, p.b, len(want))); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	if f := p.a.Flush(); f != nil {
		t.Errorf("an empty batch fails: %v", f)
	}
}

// TestOwnFramesAreNotReceived would see each frame twice without PACKET_IGNORE_OUTGOING.
func TestOwnFramesAreNotReceived(t *testing.T) {
	p := newPair(t, Options{})
	other := open(t, p.host, "a", Options{})
	labtest.Must(t, other.SendControl(testFrame(1)))
	labtest.Must(t, p.a.SendControl(testFrame(2)))
	labtest.Must(t, p.b.SendControl(testFrame(3)))
	if got := collect(t, p.a, 1); !bytes.Equal(got[0][frame.VnetLen:], testFrame(3)) {
		t.Errorf("received %x", got[0])
	}
}

func TestSuperFramePasses(t *testing.T) {
	p := newPair(t, Options{})
	b := superFrame(20000, 1448)
	p.a.Queue(b)
	if f := p.a.Flush(); len(f) != 0 {
		t.Fatal(f)
	}
	got := collect(t, p.b, 1)[0]
	var v, w frame.Vnet
	v.Unmarshal(got)
	w.Unmarshal(b)
	v.HdrLen = w.HdrLen
	if diff := cmp.Diff(w, v); diff != "" || !bytes.Equal(got[frame.VnetLen:], b[frame.VnetLen:]) {
		t.Errorf("super-frame of %d octets came as %d (-want +got):\n%s", len(b), len(got), diff)
	}
}

// refuseGSO is a kernel that refuses super-frames.
func refuseGSO(errno syscall.Errno) func(uintptr, []message) (int, syscall.Errno) {
	return func(fd uintptr, m []message) (int, syscall.Errno) {
		for i := range m {
			first := (*[2]byte)(unsafe.Pointer(m[i].Iov.Base))
			if first[1] != frame.GSONone {
				if i == 0 {
					return 0, errno
				}
				return sendMessages(fd, m[:i])
			}
		}
		return sendMessages(fd, m)
	}
}

func TestRefusedSuperFrameIsSegmented(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tso    Offload
		errno  syscall.Errno
		tsoNow bool
	}{
		{"auto", OffloadAuto, unix.EINVAL, false},
		{"on", OffloadOn, unix.EIO, true},
		{"off", OffloadOff, unix.EINVAL, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Options{TSO: tt.tso})
			p.a.out.sendmmsg = refuseGSO(tt.errno)
			for range 2 {
				p.a.Queue(withHeader(testFrame(0)))
				p.a.Queue(superFrame(3000, 1400))
				p.a.Queue(withHeader(testFrame(1)))
				if f := p.a.Flush(); len(f) != 0 {
					t.Fatal(f)
				}
			}
			frames := collect(t, p.b, 10)
			var lens []int
			for _, b := range frames {
				lens = append(lens, len(b)-frame.VnetLen)
			}
			want := []int{60, 1454, 1454, 254, 60}
			if diff := cmp.Diff(append(want, want...), lens); diff != "" {
				t.Errorf("lengths (-want +got):\n%s", diff)
			}
			seg := frames[1][frame.VnetLen:]
			if sum := frame.Fold(frame.Sum(uint64(frame.PseudoSum(seg, 14, frame.ProtoTCP, len(seg)-34)),
				seg[34:])); sum != 0xffff {
				t.Errorf("checksum of a segment adds up to %#x", sum)
			}
			if st := p.a.Stats(); st.Segmented != 2 {
				t.Errorf("%d counted as segmented", st.Segmented)
			}
			if p.a.TSO() != tt.tsoNow || !p.a.USO() {
				t.Errorf("TSO %v, USO %v afterwards", p.a.TSO(), p.a.USO())
			}
		})
	}
}

func TestErrorsOfSending(t *testing.T) {
	tests := []struct {
		errno syscall.Errno
		super bool
		want  []Failure
	}{
		{errno: unix.EAGAIN, want: []Failure{{1, Backlog, unix.EAGAIN}, {2, Backlog, unix.EAGAIN}}},
		{errno: unix.ENETDOWN, want: []Failure{{1, Refused, unix.ENETDOWN}, {2, Refused, unix.ENETDOWN}}},
		{errno: unix.ENXIO, want: []Failure{{1, Refused, unix.ENXIO}, {2, Refused, unix.ENXIO}}},
		{errno: unix.ENOBUFS, want: []Failure{{1, Backlog, unix.ENOBUFS}}},
		{errno: unix.EMSGSIZE, want: []Failure{{1, Rejected, unix.EMSGSIZE}}},
		{errno: unix.EINVAL, want: []Failure{{1, Rejected, unix.EINVAL}}},
		{errno: unix.EINTR},
	}
	p := newPair(t, Options{})
	for _, tt := range tests {
		t.Run(tt.errno.Error(), func(t *testing.T) {
			call := 0
			p.a.out.sendmmsg = func(fd uintptr, m []message) (int, syscall.Errno) {
				switch call++; {
				case call == 1:
					return 1, 0
				case call == 2 || tt.errno == unix.EAGAIN:
					return 0, tt.errno
				}
				return len(m), 0
			}
			for i := range 3 {
				p.a.Queue(withHeader(testFrame(i)))
			}
			if diff := cmp.Diff(tt.want, slices.Clone(p.a.Flush()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
	// The same without carrier: another member may send it.
	labtest.Must(t, p.peer.Down("b"))
	labtest.Eventually(t, "no carrier", func() bool { return !p.a.Carrier() })
	p.a.out.sendmmsg = func(uintptr, []message) (int, syscall.Errno) { return 0, unix.ENOBUFS }
	p.a.Queue(withHeader(testFrame(0)))
	if diff := cmp.Diff([]Failure{{0, Refused, unix.ENOBUFS}}, slices.Clone(p.a.Flush())); diff != "" {
		t.Errorf("failures without carrier (-want +got):\n%s", diff)
	}
}

func TestDownUpGone(t *testing.T) {
	p := newPair(t, Options{})
	labtest.Must(t, p.host.Down("a"))
	if _, err := p.a.Receive(); !errors.Is(err, ErrDown) {
		t.Fatalf("receive from a NIC that went down: %v", err)
	}
	if err := p.a.SendControl(testFrame(1)); !errors.Is(err, ErrDown) {
		t.Errorf("send by a NIC that is down: %v", err)
	}
	p.a.Queue(withHeader(testFrame(1)))
	if f := p.a.Flush(); len(f) != 1 || f[0].Reason != Refused {
		t.Errorf("failures of a NIC that is down: %v", f)
	}
	labtest.Must(t, p.host.Up("a"))
	labtest.Eventually(t, "carrier", p.b.Carrier)
	labtest.Must(t, p.b.SendControl(testFrame(2)))
	if got := collect(t, p.a, 1); !bytes.Equal(got[0][frame.VnetLen:], testFrame(2)) {
		t.Errorf("received %x", got[0])
	}

	l, err := p.host.Handle().LinkByName("a")
	labtest.Must(t, err)
	labtest.Must(t, p.host.Handle().LinkDel(l))
	if _, err := p.a.Receive(); !errors.Is(err, ErrGone) && !errors.Is(err, ErrDown) {
		t.Errorf("receive from a NIC that is gone: %v", err)
	}
	if err := p.a.SendControl(testFrame(3)); !errors.Is(err, ErrGone) {
		t.Errorf("send by a NIC that is gone: %v", err)
	}
	p.a.Queue(withHeader(testFrame(3)))
	if f := p.a.Flush(); len(f) != 1 || f[0].Reason != Refused {
		t.Errorf("failures of a NIC that is gone: %v", f)
	}
	if p.a.Carrier() || p.a.Backlog() != 0 {
		t.Error("a NIC that is gone has carrier or backlog")
	}
}

func TestCloseEndsReceive(t *testing.T) {
	p := newPair(t, Options{})
	done := make(chan error)
	go func() { _, err := p.a.Receive(); done <- err }()
	labtest.Must(t, p.a.Close())
	labtest.Must(t, p.a.Close())
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Receive ended with %v", err)
	}
	if _, err := p.a.Receive(); !errors.Is(err, ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
	if err := p.a.SendControl(testFrame(0)); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	p.a.Queue(withHeader(testFrame(0)))
	if f := p.a.Flush(); len(f) != 1 || f[0].Reason != Refused {
		t.Errorf("Flush after Close: %v", f)
	}
	p.a.Stats()
}

func TestOpenRefuses(t *testing.T) {
	labtest.Root(t)
	h := labtest.Host(t, "host")
	err := h.Do(func() error { _, err := Open(Options{Name: "none0", Index: 4711, MAC: 1}); return err })
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("open of a NIC that is not there: %v", err)
	}
}

func TestDropsAreCounted(t *testing.T) {
	p := newPair(t, Options{})
	// A tiny buffer that nobody reads.
	labtest.Must(t, p.b.withFD(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1)
	}))
	labtest.Eventually(t, "drops", func() bool {
		labtest.Must(t, p.a.SendControl(testFrame(0)))
		return p.b.Stats().Drops > 5
	})
	was := p.b.Stats().Drops
	if now := p.b.Stats().Drops; now < was {
		t.Errorf("%d drops after %d", now, was)
	}
}

func TestBacklogFollowsSpeed(t *testing.T) {
	for in, want := range map[uint64]int{0: 256 << 10, 10e6: 256 << 10, 1e9: 1250000, 10e9: 12500000} {
		if got := BacklogFor(in); got != want {
			t.Errorf("BacklogFor(%d) = %d, want %d", in, got, want)
		}
	}
	p := newPair(t, Options{})
	q := open(t, p.host, "a", Options{Backlog: 300000})
	for _, tt := range []struct {
		s    *Socket
		want int
	}{{p.a, BacklogFor(10e9)}, {q, 300000}} { // a veth tells 10 Gbit/s
		var got int
		labtest.Must(t, tt.s.withFD(func(fd int) (err error) {
			got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
			return err
		}))
		if got != tt.want {
			t.Errorf("the send buffer is %d, want %d", got, tt.want)
		}
	}
}

func TestJoinGroup(t *testing.T) {
	p := newPair(t, Options{})
	labtest.Must(t, p.a.JoinGroup(0x0180c2000002))
	if err := p.a.JoinGroup(0x0180c2000002); err != nil {
		t.Errorf("join twice: %v", err)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	p := newPair(t, Options{})
	b := withHeader(testFrame(1))
	run := func() {
		for range 8 {
			p.a.Queue(b)
		}
		p.a.Flush()
		for got := 0; got < 8; {
			n, err := p.b.Receive()
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				p.b.Frame(i)
			}
			got += n
		}
	}
	if allocs := testing.AllocsPerRun(500, run); allocs != 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
}

func TestBadFramesAreNil(t *testing.T) {
	s := new(Socket)
	s.in.hold()
	s.in.n = 3
	s.in.msgs[0].n = frame.VnetLen - frame.VnetRoom + frame.EtherLen - 1
	s.in.msgs[1].n = 100
	s.in.msgs[1].Flags = unix.MSG_TRUNC
	s.in.msgs[2].n = 100
	s.in.msgs[2].SetControllen(0)
	for i, want := range []bool{false, false, true} {
		if got := s.Frame(i) != nil; got != want {
			t.Errorf("Frame(%d) is a frame: %v", i, got)
		}
	}
}

// Carrier reports whether the NIC is up and has carrier.
func (s *Socket) Carrier() bool {
	up := false
	s.withFD(func(fd int) error { up = carrier(fd, s.opt.Index); return nil })
	return up
}
