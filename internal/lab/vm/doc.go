// SPDX-License-Identifier: MIT

// Package vm has what the commands that boot Debian's kernels under QEMU share: internal/lab/kernels,
// internal/lab/count and internal/lab/hosts.
//
//	kernel.go     fetches Debian's kernel package with apt and unpacks it below a cache; nothing is installed
//	modules.go    finds modules and their dependencies, and writes them with the indexes that modprobe reads
//	programs.go   finds programs of this machine, and their libraries
//	root.go       creates a root file system of all that, with Go programs
//	copy.go       copies files and trees
//	cpio.go       packs a directory into an initramfs
//	qemu.go       starts a machine that boots from it
//	guest.go      process 1 of that machine: runs the tasks, reports their output, switches off
//	task.go       what a guest runs
//	event.go      what it reports besides
//
// Such a guest has two serial lines: the kernel writes to the first, and the tasks to the second, so that neither
// garbles the other. internal/lab/hosts uses kernels, modules and the archive alone: its machines have disks.
package vm
