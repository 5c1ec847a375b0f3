// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
	"nicteam/team"
)

// program does what a program in the kernel does for a direction: it sends numbered frames as the gate says.
type program struct {
	testing.TB
	gate       *uint32
	slow, fast func(b []byte) error
	frame      func(n int) []byte
	seen       *port

	sent    int
	dropped map[int]bool
	// Numbers of frames that took longer than strayTime from the look at the gate to the end of their sending. In the
	// kernel nothing comes in between; here the machine does, and such a frame may be overtaken.
	stray map[int]bool
	fasts int

	moved atomic.Int64 // frames that have arrived or were dropped
	stop  atomic.Bool
	all   sync.WaitGroup
	order []int // as they arrived
}

// window is how many frames are under way at most, so that none is lost for want of room.
const window = 250

// begin has frames sent, by the ms or without a pause, and looks at what arrives.
func (p *program) begin(pauses bool) {
	p.dropped, p.stray = map[int]bool{}, map[int]bool{}
	p.all.Go(func() {
		for !p.stop.Load() {
			for range 20 {
				p.send()
			}
			if pauses {
				time.Sleep(time.Millisecond)
			}
		}
	})
	p.all.Go(func() {
		for {
			select {
			case b := <-p.seen.seen:
				p.order = append(p.order, number(b[frame.VnetLen:]))
				p.moved.Add(1)
			case <-time.After(time.Second):
				if p.stop.Load() {
					return
				}
			}
		}
	})
}

// readGate does what read_gate of fastpath/bpf/gate.h does.
func readGate(gate *uint32) uint32 {
	for {
		g := atomic.LoadUint32(gate)
		if g <= GateAlone && g != GateHold {
			return g
		}
		if left := (g - uint32(Monotonic()>>GateUnit)) &^ GateUntil; g != GateHold && left > 0 && left <= GateLongest {
			return GateShut
		}
		if atomic.CompareAndSwapUint32(gate, g, GateSlow) {
			return GateSlow
		}
	}
}

func (p *program) send() {
	for p.sent-int(p.moved.Load()) >= window {
		if p.stop.Load() {
			return
		}
		runtime.Gosched()
	}
	n, b := p.sent, p.frame(p.sent)
	p.sent++
	began := time.Now()
	switch g := readGate(p.gate); {
	case g == GateShut:
		p.dropped[n] = true
		p.moved.Add(1)
		return
	case g == GateFast:
		p.fasts++
		labtest.Check(p, p.fast(b))
		return
	}
	labtest.Check(p, p.slow(b))
	if time.Since(began) >= strayTime {
		p.stray[n] = true
	}
}

// end stops sending and wants everything in order that was sent.
func (p *program) end() {
	p.Helper()
	p.stop.Store(true)
	p.all.Wait()
	arrived := map[int]bool{}
	last, overtaken := -1, 0
	for _, n := range p.order {
		if arrived[n] {
			p.Fatalf("frame %d arrived twice", n)
		}
		arrived[n] = true
		if n < last && !p.stray[n] {
			overtaken++
			p.Errorf("frame %d arrived after frame %d", n, last)
		}
		last = max(last, n)
	}
	for n := range p.sent {
		if arrived[n] == p.dropped[n] {
			p.Fatalf("frame %d of %d: arrived %v, dropped %v", n, p.sent, arrived[n], p.dropped[n])
		}
	}
	p.Logf("%d frames, %d of them by the program, %d dropped, %d strays", p.sent, p.fasts, len(p.dropped), len(p.stray))
}

// transmission is the program that transmits by member 0.
func (g *rig) transmission() *program {
	host, direct := g.socket(g.host, "team0"), g.socket(g.host, "m0")
	return &program{TB: g.TB, gate: new(uint32), seen: g.peerPort(0), slow: host.SendControl, fast: direct.SendControl,
		frame: func(n int) []byte { return testFrame(peerMAC, adapterMAC, n) }}
}

// reception is the program that receives by member 0.
func (g *rig) reception() *program {
	peer := g.socket(g.peer, "p0")
	return &program{TB: g.TB, gate: new(uint32), seen: g.teamPort(), slow: peer.SendControl,
		fast: func(b []byte) error {
			_, err := g.adapter.Queues()[0].Write(append(make([]byte, frame.VnetLen), b...))
			return err
		},
		frame: func(n int) []byte { return testFrame(adapterMAC, peerMAC, n) }}
}

var directions = []struct {
	name          string
	program       func(g *rig) *program
	yield, regain func(r *Relay, gate *uint32) error
}{
	{"transmit", (*rig).transmission, (*Relay).Yield, (*Relay).Regain},
	{"receive", (*rig).reception,
		func(r *Relay, gate *uint32) error { return r.YieldMember(0, gate) },
		func(r *Relay, gate *uint32) error { return r.RegainMember(0, gate) }},
}

// Frames are not lost, duplicated or reordered when a direction goes to the programs and back, at 20 000 a
// second and at as many as there can be.
func TestYieldUnderLoad(t *testing.T) {
	for _, d := range directions {
		for _, load := range []string{"20000 a second", "without pauses"} {
			t.Run(d.name+" "+load, func(t *testing.T) {
				g := newRig(t, 1)
				g.apply(g.plan(spread.RuleSingle))
				p := d.program(g)
				p.begin(load != "without pauses")
				for range 50 {
					labtest.Must(t, d.yield(g.relay, p.gate))
					if got := atomic.LoadUint32(p.gate); got != GateFast {
						t.Fatalf("the gate is %d", got)
					}
					p.passes()
					labtest.Must(t, d.regain(g.relay, p.gate))
					if got := atomic.LoadUint32(p.gate); got != GateSlow {
						t.Fatalf("the gate is %d", got)
					}
					p.passes()
				}
				p.end()
				if n := len(p.dropped); n > 0 && load != "without pauses" {
					t.Errorf("%d frames dropped, with a pause every ms", n)
				}
			})
		}
	}
}

// passes waits until some frames have gone by.
func (p *program) passes() {
	p.Helper()
	want := p.moved.Load() + 60
	labtest.Eventually(p, "frames that pass", func() bool { return p.moved.Load() >= want })
}

// shut hands over as where no pause was found in time.
func (g *rig) shut(name string, gate *uint32) error {
	h := newHandover(gate, g.relay.clock)
	late := func(of **handover) {
		h.begin(of)
		h.until, h.tries = h.clock.now(), minPauseTries
	}
	if name == "transmit" {
		labtest.Must(g, g.relay.DoWithPicker(func(*spread.Picker, int64) { late(&g.relay.tx.handover) }))
	} else {
		_, err := g.relay.doInMember(0, func(m *member) { late(&m.handover) })
		labtest.Must(g, err)
	}
	return <-h.done
}

// A load in which there is no pause loses what passes while the gate is shut, and no more.
func TestYieldWithoutAnyPause(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			g := newRig(t, 1)
			g.apply(g.plan(spread.RuleSingle))
			p := d.program(g)
			p.begin(false)
			for range 50 {
				labtest.Must(t, g.shut(d.name, p.gate))
				p.passes()
				labtest.Must(t, d.regain(g.relay, p.gate))
				p.passes()
			}
			p.end()
		})
	}
}

// A member that receives no more hands nothing over, and what it had is taken back.
func TestYieldOfAMemberThatHasEnded(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	gate := GateSlow
	labtest.Must(t, g.relay.YieldMember(0, &gate))
	m := g.relay.member(0)
	labtest.Must(t, m.socket.Close()) // as with a NIC that is gone
	<-m.done
	if err := g.relay.RegainMember(0, &gate); err != nil || gate != GateSlow {
		t.Errorf("taken back: %v, gate %d", err, gate)
	}
	if err := g.relay.YieldMember(0, &gate); !errors.Is(err, nic.ErrClosed) || gate != GateSlow {
		t.Errorf("handed over: %v, gate %d", err, gate)
	}
}

func TestYieldOfAMissingMember(t *testing.T) {
	g := newRig(t, 1)
	r := g.relay
	gate := GateSlow
	for _, id := range []int{-1, 1, spread.MaxMembers} {
		if err := r.YieldMember(id, &gate); !errors.Is(err, ErrNoMember) {
			t.Errorf("member %d: %v", id, err)
		}
		if err := r.SetSocketFilter(id, -1); !errors.Is(err, ErrNoMember) {
			t.Errorf("member %d: %v", id, err)
		}
	}
	labtest.Must(t, r.Close())
	for name, f := range map[string]func() error{
		"Yield":        func() error { return r.Yield(&gate) },
		"Regain":       func() error { return r.Regain(&gate) },
		"YieldMember":  func() error { return r.YieldMember(0, &gate) },
		"RegainMember": func() error { return r.RegainMember(0, &gate) },
		"Do":           func() error { return r.DoWithPicker(func(*spread.Picker, int64) { t.Error("it was done") }) },
	} {
		if err := f(); err == nil || gate != GateSlow {
			t.Errorf("%s of a relay that is closed: %v, gate %d", name, err, gate)
		}
	}
	if r.Report(team.Control{}) {
		t.Error("news reach a control loop that has ended")
	}
}

// While programs transmit, the relay does not report to the Picker what members carry.
func TestYieldedRelayDoesNotMeasure(t *testing.T) {
	g := newRig(t, 2)
	pl := g.shortest()
	pl.Shortest.Rates[0], pl.Shortest.Rates[1] = 10_000, 10_000 // a frame takes 48 ms; in truth nothing waits
	g.apply(pl)
	gate := GateSlow
	labtest.Must(t, g.relay.Yield(&gate))
	host := g.teamPort()
	var f spread.FlowTable
	ahead := func() (n int) {
		if !g.relay.Flows(&f) {
			return 0
		}
		for id := range 2 {
			if f.Members[id].Clock > f.Now+int64(time.Second) {
				n++
			}
		}
		return n
	}
	send := func() {
		for i := range 20 {
			host.send(testFrame(peerMAC+frame.MAC(i), adapterMAC, i))
		}
	}
	labtest.Eventually(t, "clocks that are ahead", func() bool { send(); return ahead() == 2 })
	for began := time.Now(); time.Since(began) < 3*rateInterval; {
		send()
		if ahead() != 2 {
			t.Fatal("a clock was set")
		}
	}
	labtest.Must(t, g.relay.DoWithPicker(func(p *spread.Picker, now int64) {
		if p.Now != now {
			t.Errorf("it is %d for the Picker, and %d", p.Now, now)
		}
		p.Measured(0, 1<<20, 0)
	}))
	if ahead() != 1 {
		t.Error("the clock is not as it was measured")
	}
	labtest.Must(t, g.relay.Regain(&gate))
	labtest.Eventually(t, "both clocks set straight", func() bool { send(); return ahead() == 0 })
}

// A member's socket receives what its filter accepts.
func TestSocketFilter(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	peer, host := g.peerPort(0), g.teamPort()
	refuse, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	labtest.Must(t, err)
	defer refuse.Close()
	labtest.Must(t, g.relay.SetSocketFilter(0, refuse.FD()))
	peer.send(testFrame(adapterMAC, peerMAC, 1))
	labtest.Must(t, g.relay.SetSocketFilter(0, -1))
	b := testFrame(adapterMAC, peerMAC, 2)
	peer.send(b)
	host.expect(b)
	if err := g.relay.SetSocketFilter(0, 1<<20); err == nil {
		t.Error("what is no program is a filter")
	}
}

// Close ends handovers that are under way, and whoever waits for one.
func TestCloseWhileYielding(t *testing.T) {
	g := newRig(t, 2)
	for range 20 {
		r := g.relay
		var all sync.WaitGroup
		gates := new([4]uint32)
		var end atomic.Bool
		for i := range gates {
			all.Go(func() {
				for !end.Load() { // no pause, ever
					atomic.CompareAndSwapUint32(&gates[i], GateHold, GateSlow)
					runtime.Gosched()
				}
			})
		}
		results := make(chan error, 4)
		go func() { results <- r.Yield(&gates[0]) }()
		go func() { results <- r.Yield(&gates[1]) }()
		go func() { results <- r.YieldMember(0, &gates[2]) }()
		go func() { results <- r.YieldMember(1, &gates[3]) }()
		labtest.Must(t, r.Leave(1))
		labtest.Must(t, r.Close())
		for range gates {
			select {
			case err := <-results:
				if err != nil && !errors.Is(err, nic.ErrClosed) && !errors.Is(err, unix.EBUSY) &&
					!errors.Is(err, ErrNoMember) {
					t.Error(err)
				}
			case <-time.After(labtest.Patience):
				t.Fatal("it hangs")
			}
		}
		end.Store(true)
		all.Wait()
		g.start()
	}
}
