// SPDX-License-Identifier: MIT

// Command hosts tries nicteam in virtual machines with real network managers: `make test-hosts`.
//
//	recipe.go       the machines: Debian with one network manager each
//	image.go        makes their images with mmdebstrap and keeps them in a cache; initrd.go packs what boots them
//	qemu.go         starts QEMU, which emulates a machine, so that KVM is not needed; pulls cables; reboots
//	router.go       what the machine's NICs are connected to: DHCP, router advertisements, DNS; pings and logs in
//	agent, guest    what runs in the machine: the initramfs, and an agent that answers when the network does not
//	boot.go         a machine in its network; the first boot is kept as a snapshot, from which later runs go on
//	scenarios.go    what happens to a machine; confirm.go has changes that nobody confirms
//	watch.go        what is observed meanwhile; state.go what must be as before
//	run.go          runs scenarios; report.go makes the table of docs/hosts.md
//	interactive.go  boots one machine and keeps it for commands by hand
//
// The scenarios know a machine and a network only as interfaces (machine.go), which tests implement in memory.
package main
