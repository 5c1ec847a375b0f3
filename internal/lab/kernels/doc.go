// SPDX-License-Identifier: MIT

// Command kernels runs the real tests on another kernel than the machine's own: `make test-kernels`.
//
//	../vm         fetches Debian's kernel package and finds modules in it
//	modules.go    the modules that the tests need
//	tools.go      finds the programs that the tests start, and their libraries
//	suites.go     which tests run there, and which do not and why
//	image.go      packs it all into an initramfs
//	boot.go       starts it under QEMU, which emulates a machine, so that neither KVM nor root is needed, and connects
//	              its virtio NICs in pairs: cables for tests that need NICs which filter
//	guest.go      process 1 of that machine: this same program; runs the tests, reports their output, switches off
//	report.go     reads the guest's report and summarises it
//
// The guest has two serial lines: the kernel writes to the first, which is shown after a failure, and the tests to the
// second, so that neither garbles the other.
//
// An emulated processor is 20 to 50 times slower than a real one. Tests of behaviour pass on it; tests of time are
// skipped in table.go, by name and with the reason.
package main
