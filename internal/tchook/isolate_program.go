// SPDX-License-Identifier: MIT

package tchook

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -no-global-types -cflags "-O2 -g -Wall -Werror -mcpu=v2" isolate bpf/isolate.c -- -I/usr/include/x86_64-linux-gnu

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// isolation returns the program that isolates, the same for all NICs: reading and verifying it takes longer than
// attaching it.
func (h *Hooks) isolation() (*ebpf.Program, error) {
	if h.isolator == nil {
		p, err := loadIsolation()
		if err != nil {
			return nil, err
		}
		h.isolator = p
	}
	return h.isolator, nil
}

// dropIsolator closes it. NICs keep it.
func (h *Hooks) dropIsolator() {
	if h.isolator != nil {
		_ = h.isolator.Close()
		h.isolator = nil
	}
}

// loadIsolation loads the program of bpf/isolate.c. Kernels before 4.20 refuse it because it looks up sockets; they get
// one that drops everything.
func loadIsolation() (*ebpf.Program, error) {
	p, err := loadSelective()
	if err == nil {
		return p, nil
	}
	const drop = 2 // TC_ACT_SHOT
	p, e := ebpf.NewProgram(&ebpf.ProgramSpec{Name: isolateFilter.name, Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, drop), asm.Return()}})
	if e != nil {
		return nil, err
	}
	return p, nil
}

func loadSelective() (*ebpf.Program, error) {
	all, err := loadIsolate()
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	spec := all.Programs["isolate"]
	spec.Name = isolateFilter.name
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	return p, nil
}
