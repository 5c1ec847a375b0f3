// Command kernels runs the real tests on another kernel than the machine's own: `make test-kernels`.
//
//	kernel.go     fetches Debian's kernel package with apt and unpacks it below the cache, nothing is installed
//	modules.go    finds the modules that the tests want, and what those want
//	tools.go      finds the programs that the tests start, and their libraries
//	suites.go     which tests run there, and which do not and why
//	image.go      packs it all into an initial file system (cpio.go writes it)
//	boot.go       starts it under QEMU, which emulates a machine, so neither KVM nor root is needed, and joins its
//	              virtio NICs two by two: cables for tests that want NICs which filter
//	guest.go      is process 1 of that machine: this same program; runs the tests, tells their output, switches off
//	report.go     reads what the guest tells and sums it up
//
// The guest has two serial lines: the kernel writes to the first, which is shown when something went
// wrong, and the tests to the second, so that neither garbles the other.
//
// An emulated processor is 20 to 50 times slower than a real one. Tests that prove behaviour pass on it; those which
// are about time are left out in suites.go, by name and with the reason.
package main
