// SPDX-License-Identifier: MIT

// Package fastpath is the data path in the kernel: tc programs on the adapter and the members do what package relay
// does, by the same Plan. The relay stays underneath and moves the frames that they pass on.
//
// A frame's way is at the head of bpf/fastpath.c. path.go is the team.Datapath; engage.go hands frames over to the
// programs and back; kernel.go loads them; plan.go, addresses.go and stations.go write what they read.
package fastpath

// The object is committed, so that building needs no clang. `make generate` compiles it, and `make lint` checks that
// this gives the same.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -type plan -cflags "-O2 -g -Wall -Werror -mcpu=v3" program bpf/fastpath.c -- -I/usr/include/x86_64-linux-gnu
