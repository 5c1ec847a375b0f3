// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"nicteam/internal/lab/vm"
)

// benchPackage has what runs in the guest.
const benchPackage = "./internal/lab/bench"

// wantedModules are those that subjects need; the kernel loads them itself, tun excepted.
var wantedModules = []string{"tun", "veth", "bridge", "bonding", "sch_ingress", "cls_bpf", "sch_fq_codel",
	"nf_tables", "nf_tables_netdev", "overlay", "packet_diag", "inet_diag", "udp_diag", "tcp_diag", "af_packet",
	"crc32c_generic"}

// programs of this machine that the lab and the product start.
var programs = []string{"sh", "cat", "modprobe", "ip", "tc", "nft", "sysctl", "mount", "umount"}

var directories = []string{"/etc/iproute2", "/usr/share/iproute2"}

// Names of the guest's tasks.
const (
	measuring = "measure"
	telling   = "figures"
)

// makeImage builds what runs in the guest, packs it and returns the file.
func makeImage(o options, k vm.Kernel, dir string) (string, error) {
	root, file := filepath.Join(dir, "root"), filepath.Join(dir, "image")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	modules, err := vm.FindModules(k, wantedModules)
	if err != nil {
		return "", err
	}
	const figures = "/tmp/bench.json"
	err = vm.Root{
		Kernel: k, Modules: modules, Programs: programs, Trees: directories,
		Packages: map[string]string{"init": "./internal/lab/count", "bench": benchPackage, "nicteam": "./cmd/nicteam"},
		Tasks: []vm.Task{
			{Name: measuring, Binary: "/bench", Dir: "/", Seconds: 3600, Arguments: []string{"-count", "-binary",
				"/nicteam", "-o", figures, "-only", o.only, "-subjects", o.subjects}},
			{Name: telling, Binary: "/bin/cat", Dir: "/", Seconds: 60, Arguments: []string{figures}},
		},
	}.Write(root)
	if err != nil {
		return "", err
	}
	return file, vm.Pack(root, file)
}

// machine is a machine with an instruction clock: each instruction of its one CPU takes 2^shift ns, and while the CPU
// is idle the clock jumps to the next timer. What the CPU gives out as random comes from the seed.
//
// The CPU does not claim that `rep movsb` is fast (erms, fsrm): QEMU counts each octet of it as an instruction, and
// copying would hide all else. Without the claim the kernel copies 8 octets an instruction.
func machine(o options, k vm.Kernel, image, console string, seed int) vm.Machine {
	return vm.Machine{
		Kernel: k, Image: image, Console: console, Limit: o.limit,
		CPU: []string{"-accel", "tcg,thread=single", "-cpu", "max,-erms,-fsrm", "-smp", "1",
			"-icount", fmt.Sprintf("shift=%d,sleep=off,align=off", o.shift),
			"-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", fmt.Sprint(seed)},
		// A clock that is read as on real machines, not by way of a device.
		Append: "clocksource=tsc tsc=reliable",
	}
}
