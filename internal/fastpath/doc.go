// Package fastpath is the data path that runs in the kernel: tc programs on the adapter and on the members do what package relay
// does, by the same Plan. The relay stays underneath and moves what they pass on.
//
// bpf/fastpath.c tells a frame's way.
package fastpath

// The object is committed, so that nobody needs clang to build; `make generate` makes it anew, and `make lint` looks whether that
// gives the same.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -cflags "-O2 -g -Wall -Werror -mcpu=v3" program bpf/fastpath.c -- -I/usr/include/x86_64-linux-gnu
