// SPDX-License-Identifier: MIT

// Package vm has what both commands that boot Debian's kernels under QEMU need: internal/lab/kernels and
// internal/lab/hosts.
//
//	kernel.go     fetches Debian's kernel package with apt and unpacks it below a cache; nothing is installed
//	modules.go    finds modules and their dependencies, and writes them with the indexes that modprobe reads
//	cpio.go       packs a directory into an initramfs
//	copy.go       copies files and trees
package vm
