package fastpath

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/team"
)

// slowFrame is a LACPDU, as far as anybody looks here, with a number.
func slowFrame(src frame.MAC, n int) []byte {
	b := make([]byte, 124)
	frame.MAC(0x0180c2000002).Put(b, 0)
	src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeSlow)
	b[14] = 1
	binary.BigEndian.PutUint32(b[20:], uint32(n))
	return b
}

// A link that carries all it can is one whose partner must not fall silent, nor seem to: frames come through in both
// directions while bulk does.
func TestControlFramesUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		engage bool
		rate   uint64
	}{
		{"relay", false, 0}, {"relay shaped", false, 50e6}, {"fast path", true, 0}, {"fast path shaped", true, 50e6},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, 1)
			labtest.Must(t, g.path.Apply(g.plan(modes.SpreadSlots)))
			if c.engage {
				labtest.Must(t, g.path.Engage())
			}
			if c.rate != 0 {
				labtest.Must(t, g.host.Shape("m0", c.rate))
				labtest.Must(t, g.peer.Shape("p0", c.rate))
			}
			peer := g.peerSocket(0)
			ctx := t.Context()
			out := startLoad(ctx, t, lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 4})
			in := startLoad(ctx, t, lab.Load{From: g.peer, To: g.host, Address: hostAddress, Flows: 4})

			const n, every = 100, 10 * time.Millisecond
			var all sync.WaitGroup
			var there, here gaps
			all.Go(func() { there.take(n, slowFrames(peer)) })
			all.Go(func() { here.take(n, controlFrames(g.path)) })
			before := out.Rate()
			for i := range n {
				labtest.Must(t, g.path.Send(0, slowFrame(memberMAC(0), i)))
				labtest.Must(t, peer.Send(slowFrame(peerMAC, i)))
				time.Sleep(every)
			}
			carried := out.Rate().Less(before)
			all.Wait()
			out.Stop()
			in.Stop()
			t.Logf("%d Mbit/s meanwhile; gaps sent %v, received %v", int(float64(carried.Bytes)*8/carried.Took.Seconds()/1e6), &there, &here)
			for name, g := range map[string]*gaps{"sent": &there, "received": &here} {
				if g.lost != 0 {
					t.Errorf("%s: %d of %d are lost", name, g.lost, n)
				}
				if p99 := g.quantile(0.99); p99 > 400*time.Millisecond {
					t.Errorf("%s: gaps up to %v between frames each %v", name, p99, every)
				}
			}
		})
	}
}

func startLoad(ctx context.Context, t *testing.T, l lab.Load) *lab.RunningLoad {
	t.Helper()
	r, err := l.Start(ctx)
	labtest.Must(t, err)
	t.Cleanup(func() { r.Stop() })
	return r
}

// peerSocket is a socket on the far end of a member, which takes in nothing but slow protocols: all the rest would
// overrun it.
func (g *rig) peerSocket(id int) (s *nic.Socket) {
	g.Helper()
	name := "p" + g.links[id].Name[1:]
	l, err := g.peer.Handle().LinkByName(name)
	labtest.Must(g, err)
	labtest.Must(g, g.peer.Do(func() (err error) {
		s, err = nic.Open(nic.Options{Name: name, Index: l.Attrs().Index, MAC: frame.MACFrom(l.Attrs().HardwareAddr)})
		return err
	}))
	g.Cleanup(func() { s.Close() })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(12, asm.Half),
		asm.JEq.Imm(asm.R0, frame.TypeSlow, "in"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("in"),
		asm.Return(),
	}})
	labtest.Must(g, err)
	defer p.Close()
	labtest.Must(g, s.Listen(p.FD()))
	return s
}

// slowFrames returns the next frame of a slow protocol that a socket sees, nil when none comes any more.
func slowFrames(s *nic.Socket) func() []byte {
	at, n := 0, 0
	return func() []byte {
		timer := time.AfterFunc(labtest.Patience, func() { s.Close() })
		defer timer.Stop()
		for {
			for ; at < n; at++ {
				if b := s.Frame(at); b != nil && binary.BigEndian.Uint16(b[frame.VnetLen+12:]) == frame.TypeSlow {
					at++
					return b[frame.VnetLen:]
				}
			}
			var err error
			if n, err = s.Receive(); err != nil {
				return nil
			}
			at = 0
		}
	}
}

// controlFrames returns the next frame that the control loop is handed, nil when none comes any more.
func controlFrames(p *Path) func() []byte {
	return func() []byte {
		for timeout := time.After(labtest.Patience); ; {
			select {
			case c := <-p.Control():
				if c.Kind == team.ControlFrame && len(c.Frame) > 12 && binary.BigEndian.Uint16(c.Frame[12:]) == frame.TypeSlow {
					return c.Frame
				}
			case <-timeout:
				return nil
			}
		}
	}
}

// gaps are the times between frames that came.
type gaps struct {
	all  []time.Duration
	lost int
}

// take takes frames until the last of n has come.
func (g *gaps) take(n int, next func() []byte) {
	last := time.Now()
	for want := 0; want < n; want++ {
		b := next()
		if b == nil {
			g.lost += n - want
			return
		}
		now := time.Now()
		g.all = append(g.all, now.Sub(last))
		last = now
		got := int(binary.BigEndian.Uint32(b[20:]))
		if got < want { // some come twice while the relay's ear begins
			want--
			continue
		}
		g.lost += got - want
		want = got
	}
	slices.Sort(g.all)
}

func (g *gaps) quantile(q float64) time.Duration {
	if len(g.all) == 0 {
		return time.Hour
	}
	return g.all[min(len(g.all)-1, int(q*float64(len(g.all))))]
}

func (g *gaps) String() string {
	return "p50 " + g.quantile(0.5).String() + " p99 " + g.quantile(0.99).String() + " most " + g.quantile(1).String()
}

// What comes from an address of ours is the relay's to hand on, too, whatever the programs think of it.
func TestOwnSlowFramesComeToControl(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.plan(modes.SpreadSlots)))
	labtest.Must(t, g.path.Engage())
	peer, next := g.peerSocket(1), controlFrames(g.path)
	for i, src := range []frame.MAC{peerMAC, memberMAC(0), memberMAC(1), adapterMAC} {
		labtest.Must(t, peer.Send(slowFrame(src, i)))
		if got := next(); !slices.Equal(got, slowFrame(src, i)) {
			t.Errorf("from %v: %x", src, got)
		}
	}
}

// A marker asks whether all before it has arrived, and what the programs have received may be on its way to the adapter's
// stack for a moment.
func TestMarkersWaitForWhatProgramsReceived(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(modes.SpreadSlots)))
	labtest.Must(t, g.path.Engage())
	peer, next := g.peerSocket(0), controlFrames(g.path)
	marker := lacp.Marker{Port: 1, System: peerMAC}
	for n := range uint32(5) {
		marker.Transaction = n
		b, began := marker.Frame(peerMAC), time.Now()
		labtest.Must(t, peer.Send(b))
		if got, took := next(), time.Since(began); !slices.Equal(got, b) || took < time.Millisecond {
			t.Errorf("after %v: %x", took, got)
		}
	}
}

// A neighbour that floods a member keeps no other member's partner from being heard, nor bulk from passing.
func TestSlowFlood(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.plan(modes.SpreadSlots)))
	labtest.Must(t, g.path.Engage())
	flooder, quiet := g.peerSocket(0), g.peerSocket(1)
	b := append(make([]byte, frame.VnetLen), slowFrame(peerMAC, 0)...)
	var all sync.WaitGroup
	end := time.Now().Add(700 * time.Millisecond)
	sent := 0
	all.Go(func() {
		for time.Now().Before(end) {
			for range nic.Batch {
				flooder.Queue(b)
			}
			sent += nic.Batch - len(flooder.Flush())
			time.Sleep(400 * time.Microsecond)
		}
	})
	heard, flood := 0, 0
	all.Go(func() {
		timeout := time.After(labtest.Patience)
		for heard < 20 {
			select {
			case c := <-g.path.Control():
				if c.Member == 1 && c.Kind == team.ControlFrame {
					heard++
				} else {
					flood++
				}
			case <-timeout:
				return
			}
		}
	})
	began, busy := time.Now(), processTime()
	for n := range 20 {
		labtest.Must(t, quiet.Send(slowFrame(peerMAC, n)))
		time.Sleep(25 * time.Millisecond)
	}
	took, busy := time.Since(began), processTime()-busy
	all.Wait()
	t.Logf("%d frames in 0.7 s, %d of them told; %.0f %% of a processor with their sender's", sent, flood, 100*busy.Seconds()/took.Seconds())
	if heard != 20 || flood > 30+int(took/(10*time.Millisecond)) {
		t.Errorf("%d of 20 of the other member were heard, and %d of the flood", heard, flood)
	}
}

// processTime is what this process has used of processors.
func processTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
