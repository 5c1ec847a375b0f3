// SPDX-License-Identifier: MIT

// Command count compares what frames cost by counting instructions: `make bench-count`.
//
//	main.go      options; boots each kernel several times
//	machine.go   the machine: QEMU emulates one CPU whose clock advances by a fixed time with each instruction
//	reader.go    reads the guest's report
//	figures.go   ratios to the plain NIC, and how far the boots differ
//	table.go     prints them
//
// The machine boots Debian's kernel and runs internal/lab/bench -count, which has subjects, traffic and measures:
// process 1 there is this same program (../vm). Its clock knows nothing of the machine that it runs on: neither other
// load nor caches, and a figure comes out the same on any computer. Boots differ by the seed of what the CPU gives out
// as random, so that hash keys, addresses and schedules differ: how far the boots' figures differ is printed.
package main
