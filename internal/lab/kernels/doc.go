// SPDX-License-Identifier: MIT

// Command kernels runs the real tests on another kernel than the machine's own: `make test-kernels`.
//
//	../vm         fetches Debian's kernel package, makes the guest's file system and boots it under QEMU; process 1 of
//	              the guest is this same program
//	modules.go    the modules that the tests need
//	programs.go   the programs that the tests start
//	suites.go     which tests run there, and which do not and why
//	image.go      adds the tests to the file system
//	virtio.go     the machine's virtio NICs, connected in pairs: cables for tests that need NICs which filter
//	report.go     reads the guest's report and summarises it
//
// An emulated processor is 20 to 50 times slower than a real one. Tests of behaviour pass on it; tests of time are
// skipped in table.go, by name and with the reason.
package main
