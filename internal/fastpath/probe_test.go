// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"nicteam/internal/lab/labtest"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -no-global-types -type finding -type question -type known -cflags "-O2 -g -Wall -Werror -mcpu=v3" probe bpf/probe.c -- -I/usr/include/x86_64-linux-gnu

// least is what the kernel wants a frame to have that it runs a program on. The program cuts off what is too much.
const least = 60

// prober runs the programs' own functions on frames.
type prober struct {
	testing.TB
	Probe     *ebpf.Program `ebpf:"probe"`
	Questions *ebpf.Map     `ebpf:"questions"`
	Findings  *ebpf.Map     `ebpf:"findings"`
}

func newProber(t testing.TB) *prober {
	t.Helper()
	labtest.Root(t)
	p := &prober{TB: t}
	spec, err := loadProbe()
	labtest.Must(t, err)
	labtest.Must(t, spec.LoadAndAssign(p, nil))
	t.Cleanup(func() { p.Probe.Close(); p.Questions.Close(); p.Findings.Close() })
	return p
}

// ask returns what the programs find in b.
func (p *prober) ask(b []byte, q probeQuestion, ctx skBuff) (f probeFinding) {
	p.Helper()
	if len(b) < least {
		q.Len = uint32(len(b))
		b = slices.Concat(b, make([]byte, least-len(b)))
	}
	labtest.Must(p, p.Questions.Put(uint32(0), q))
	labtest.Must(p, p.Findings.Put(uint32(0), probeFinding{}))
	code, err := p.Probe.Run(&ebpf.RunOptions{Data: b, DataOut: make([]byte, len(b)+64), Context: ctx})
	if err != nil || code != 0 {
		p.Fatalf("run on %x: %d, %v", b, int32(code), err)
	}
	labtest.Must(p, p.Findings.Lookup(uint32(0), &f))
	return f
}
