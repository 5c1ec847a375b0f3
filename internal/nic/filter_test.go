// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// only is a socket filter that accepts the numbers that leave rest when halved.
func only(t *testing.T, rest int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadAbs(14, asm.Word),
			asm.And.Imm(asm.R0, 1),
			asm.JEq.Imm(asm.R0, rest, "in"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R0, -1).WithSymbol("in"),
			asm.Return(),
		}})
	labtest.Must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func TestSocketFilter(t *testing.T) {
	p := newPair(t, Options{})
	even, odd := only(t, 0), only(t, 1)
	n := 0
	pass := func(want ...int) {
		t.Helper()
		from := n
		for ; n < from+4; n++ {
			labtest.Must(t, p.a.SendControl(testFrame(n)))
		}
		for i, b := range collect(t, p.b, len(want)) {
			if got := int(binary.BigEndian.Uint32(b[frame.VnetLen+14:])) - from; got != want[i] {
				t.Errorf("frame %d came, want %d", got, want[i])
			}
		}
		if k, err := p.b.Poll(); k != 0 || err != nil {
			t.Errorf("%d more came, %v", k, err)
		}
	}
	pass(0, 1, 2, 3)
	labtest.Must(t, p.b.SetSocketFilter(-1)) // there is none
	labtest.Must(t, p.b.SetSocketFilter(even.FD()))
	even.Close()
	pass(0, 2)
	labtest.Must(t, p.b.SetSocketFilter(odd.FD()))
	pass(1, 3)
	labtest.Must(t, p.b.SetSocketFilter(-1))
	pass(0, 1, 2, 3)
	if err := p.b.SetSocketFilter(1 << 20); err == nil {
		t.Error("what is no program is a filter")
	}
	pass(0, 1, 2, 3)
	if drops := p.b.Stats().Drops; drops != 0 {
		t.Errorf("%d drops", drops)
	}
	labtest.Must(t, p.b.Close())
	if err := p.b.SetSocketFilter(-1); err == nil {
		t.Error("a closed socket listens")
	}
}

func TestPollDoesNotWait(t *testing.T) {
	p := newPair(t, Options{})
	if n, err := p.b.Poll(); n != 0 || err != nil {
		t.Fatalf("%d frames, %v", n, err)
	}
	labtest.Must(t, p.a.SendControl(testFrame(7)))
	labtest.Must(t, p.a.SendControl(testFrame(8)))
	if n, err := p.b.Poll(); n != 2 || err != nil ||
		int(binary.BigEndian.Uint32(p.b.Frame(1)[frame.VnetLen+14:])) != 8 {
		t.Fatalf("%d frames, %v", n, err)
	}
	if allocs := testing.AllocsPerRun(100, func() { p.b.Poll() }); allocs != 0 {
		t.Errorf("Poll makes %v allocations", allocs)
	}
	labtest.Must(t, p.b.Close())
	if n, err := p.b.Poll(); n != 0 || err != ErrClosed {
		t.Errorf("after Close %d, %v", n, err)
	}
}

func TestWakeEndsReceive(t *testing.T) {
	p := newPair(t, Options{})
	type result struct {
		n   int
		err error
	}
	got := make(chan result)
	receive := func() {
		n, err := p.b.Receive()
		got <- result{n, err}
	}
	for i := range 3 {
		go receive()
		labtest.Must(t, p.b.Wake())
		if r := <-got; r.n != 0 || r.err != nil {
			t.Fatalf("%d frames, %v", r.n, r.err)
		}
		// Until Rest it takes what is there, and does not wait.
		labtest.Must(t, p.a.SendControl(testFrame(i)))
		for _, want := range []int{1, 0} {
			if n, err := p.b.Receive(); n != want || err != nil {
				t.Fatalf("%d frames of %d, %v", n, want, err)
			}
		}
		labtest.Must(t, p.b.ClearWake())
		go receive()
		labtest.Must(t, p.a.SendControl(testFrame(i)))
		if r := <-got; r.n != 1 || r.err != nil {
			t.Fatalf("%d frames, %v", r.n, r.err)
		}
	}
}
