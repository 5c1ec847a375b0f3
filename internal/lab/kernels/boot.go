// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/vm"
)

// commandLine is that of the kernel. An oops ends the machine, and with it the report.
const commandLine = "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic"

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

// boot runs a machine until it switches itself off, while r reads its report. The kernel's output goes to the console
// file.
func boot(ctx context.Context, k vm.Kernel, image, console string, limit time.Duration, r *reader) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report",
		"-kernel", k.Image, "-initrd", image, "-append", commandLine,
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(args, virtioNICs()...)...)
	// It must not outlive this program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	readErr := r.read(out)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the guest did not end within %v", limit)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("qemu: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return readErr
}

// faultWords in the kernel's output report a fault of the kernel.
var faultWords = []string{"WARNING: ", "BUG: ", "Oops", "Call Trace:", "Kernel panic", "RIP: ", "UBSAN:", "rcu: INFO"}

// readConsole returns the kernel's output, and whether it reports a fault.
func readConsole(file string) (text string, alarm bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	text = string(b)
	for _, a := range faultWords {
		alarm = alarm || strings.Contains(text, a)
	}
	return text, alarm
}
