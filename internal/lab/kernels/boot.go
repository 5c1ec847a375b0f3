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
)

// commandLine is the kernel's. An oops ends the machine, and with it the report.
const commandLine = "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic"

// pairs of virtio NICs are joined two by two, so that a test can lay as many cables.
const pairs = 4

// virtioNICs are QEMU's arguments for them. A hub of two ports is a cable. QEMU filters for the NICs, as hardware
// would.
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

// boot runs a machine until it switches itself off, with its report read by r. What the kernel wrote is in the console
// file.
func boot(ctx context.Context, k kernel, image, console string, limit time.Duration, r *reader) error {
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
	// Nothing of it may outlive this program.
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

// alarms are words of the kernel's that tell of a fault in it.
var alarms = []string{"WARNING: ", "BUG: ", "Oops", "Call Trace:", "Kernel panic", "RIP: ", "UBSAN:", "rcu: INFO"}

// readConsole returns what the kernel wrote, and whether it complained of itself.
func readConsole(file string) (text string, alarm bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	text = string(b)
	for _, a := range alarms {
		alarm = alarm || strings.Contains(text, a)
	}
	return text, alarm
}
