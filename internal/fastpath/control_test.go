// SPDX-License-Identifier: MIT

package fastpath

import (
	"context"
	"encoding/binary"
	"fmt"
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
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
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

// A link that carries all it can is one whose partner must not fall silent, nor seem to: each frame comes through in
// both directions while bulk does. Some may overtake others, where the NIC's queue has no room for one, and some come
// twice while the slowReceiver starts.
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
			labtest.Must(t, g.path.Apply(g.plan(spread.RuleSlots)))
			if c.engage {
				labtest.Must(t, g.path.Engage())
			}
			if c.rate != 0 {
				labtest.Must(t, g.host.Shape("m0", c.rate))
				labtest.Must(t, g.peer.Shape("p0", c.rate))
			}
			// No more are under way than are accepted at once: a machine that stands still for a moment makes them
			// come together.
			const n, most, every = 100, 10, 10 * time.Millisecond
			peer := g.peerSocket(0)
			there, here := newArrivals(n, slowFrames(peer)), newArrivals(n, controlFrames(g.path))
			send := func(i int) {
				for name, a := range map[string]*arrivals{"sent": there, "received": here} {
					labtest.Eventually(t, fmt.Sprintf("%s: all but %d of %d have come", name, most-1, i),
						func() bool { return i-a.count() < most })
				}
				labtest.Must(t, g.path.Send(0, slowFrame(memberMAC(0), i)))
				labtest.Must(t, peer.SendControl(slowFrame(peerMAC, i)))
				time.Sleep(every)
			}
			for i := range most { // by these the relay learns that somebody speaks to it
				send(i)
			}
			ctx := t.Context()
			out := startLoad(ctx, t, lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 4})
			in := startLoad(ctx, t, lab.Load{From: g.peer, To: g.host, Address: hostAddress, Flows: 4})
			labtest.Eventually(t, "bulk both ways",
				func() bool { return out.Rate().Bytes > 1<<20 && in.Rate().Bytes > 1<<20 })
			before := out.Rate()
			for i := most; i < n; i++ {
				send(i)
			}
			carried := out.Rate().Less(before)
			for name, a := range map[string]*arrivals{"sent": there, "received": here} {
				labtest.Eventually(t, name+": all have come", func() bool { return a.count() == n })
			}
			out.Stop()
			in.Stop()
			t.Logf("%d Mbit/s meanwhile; longest gap sent %v, received %v",
				int(float64(carried.Bytes)*8/carried.Took.Seconds()/1e6), there.longest(), here.longest())
			if carried.Bytes == 0 {
				t.Error("no bulk passed meanwhile")
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

// peerSocket is a socket on the far end of a member, which accepts nothing but slow protocols: all the rest would
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
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
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
	labtest.Must(g, s.SetSocketFilter(p.FD()))
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
				if c.Kind == team.ControlFrame && len(c.Frame) > 12 &&
					binary.BigEndian.Uint16(c.Frame[12:]) == frame.TypeSlow {
					return c.Frame
				}
			case <-timeout:
				return nil
			}
		}
	}
}

// arrivals are which of n numbered frames have come.
type arrivals struct {
	mu    sync.Mutex
	seen  map[int]bool
	last  time.Time
	worst time.Duration
}

// newArrivals takes frames until all n have come, or none comes any more.
func newArrivals(n int, next func() []byte) *arrivals {
	a := &arrivals{seen: map[int]bool{}}
	go func() {
		for a.count() < n {
			b := next()
			if b == nil {
				return
			}
			a.add(int(binary.BigEndian.Uint32(b[20:])))
		}
	}()
	return a
}

func (a *arrivals) add(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if len(a.seen) > 0 {
		a.worst = max(a.worst, now.Sub(a.last))
	}
	a.seen[i], a.last = true, now
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

func (a *arrivals) longest() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.worst
}

// What comes from an address of ours is the relay's to hand on, too, whatever the programs think of it.
func TestOwnSlowFramesComeToControl(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSlots)))
	labtest.Must(t, g.path.Engage())
	peer, next := g.peerSocket(1), controlFrames(g.path)
	for i, src := range []frame.MAC{peerMAC, memberMAC(0), memberMAC(1), adapterMAC} {
		labtest.Must(t, peer.SendControl(slowFrame(src, i)))
		if got := next(); !slices.Equal(got, slowFrame(src, i)) {
			t.Errorf("from %v: %x", src, got)
		}
	}
}

// A marker asks whether all before it has arrived, and what the programs have received may be on its way to the
// adapter's stack for a moment.
func TestMarkersWaitForWhatProgramsReceived(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSlots)))
	labtest.Must(t, g.path.Engage())
	peer, next := g.peerSocket(0), controlFrames(g.path)
	marker := lacp.Marker{Port: 1, System: peerMAC}
	for n := range uint32(5) {
		marker.Transaction = n
		b, began := marker.Frame(peerMAC), time.Now()
		labtest.Must(t, peer.SendControl(b))
		if got, took := next(), time.Since(began); !slices.Equal(got, b) || took < time.Millisecond {
			t.Errorf("after %v: %x", took, got)
		}
	}
}

// A neighbour that floods a member displaces neither another member's partner nor bulk traffic.
func TestSlowFlood(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSlots)))
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
		labtest.Must(t, quiet.SendControl(slowFrame(peerMAC, n)))
		time.Sleep(25 * time.Millisecond)
	}
	took, busy := time.Since(began), processTime()-busy
	all.Wait()
	t.Logf("%d frames in 0.7 s, %d of them reported; %.0f %% of a processor with their sender's", sent, flood,
		100*busy.Seconds()/took.Seconds())
	if heard != 20 || flood > 30+int(took/(10*time.Millisecond)) {
		t.Errorf("%d of 20 of the other member were received, and %d of the flood", heard, flood)
	}
}

// processTime is what this process has used of processors.
func processTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
