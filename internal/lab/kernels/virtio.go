// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// pairs is the number of connected pairs of virtio NICs, which tests use as cables.
const pairs = 4

// virtioNICs returns QEMU's arguments for them. A hub of two ports is a cable. QEMU filters for the NICs, as hardware
// does.
func virtioNICs() (args []string) {
	for pair := range byte(pairs) {
		for end := range byte(2) {
			mac := net.HardwareAddr(append(bytes.Clone(lab.VirtioMAC), pair, end))
			id := fmt.Sprintf("n%d%d", pair, end)
			args = append(args, "-netdev", fmt.Sprintf("hubport,id=%s,hubid=%d", id, pair),
				"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=%v,romfile=", id, mac))
		}
	}
	return args
}

// network is the path of the machine's network namespace, which has the virtio NICs.
const network = "/mnt/network"

// setUpVirtio loads the driver of the virtio NICs and tells tests where they are. A kernel without the driver has none.
func setUpVirtio() error {
	for _, m := range []string{"virtio_pci", "virtio_net"} {
		if err := exec.Command("modprobe", m).Run(); err != nil {
			return nil
		}
	}
	if err := os.WriteFile(network, nil, 0o444); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/ns/net", network, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", network, err)
	}
	return os.Setenv(lab.VirtioVariable, network)
}
