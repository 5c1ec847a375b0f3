// SPDX-License-Identifier: MIT

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// commandLine is that of the kernel. An oops ends the machine, and with it the report.
const commandLine = "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic"

// A Machine is a guest that boots from memory. QEMU emulates its CPU, so that neither KVM nor root is needed.
type Machine struct {
	Kernel  Kernel
	Image   string   // the file with the packed root file system
	Console string   // the file for what the kernel writes
	CPU     []string // QEMU's arguments of accelerator, CPU and clock
	Devices []string // and of devices besides the two serial lines
	Append  string   // further words of the kernel's command line
	Limit   time.Duration
}

// Run runs the machine until it switches itself off, while read reads its report. The caller stays on one thread
// (runtime.LockOSThread): QEMU dies with the thread that starts it.
func (m Machine) Run(ctx context.Context, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, m.Limit)
	defer cancel()
	args := append([]string{
		"-m", "2G", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=" + m.Console, "-serial", "chardev:console",
		"-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report",
		"-kernel", m.Kernel.Image, "-initrd", m.Image, "-append", strings.TrimSpace(commandLine + " " + m.Append),
	}, m.CPU...)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(args, m.Devices...)...)
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
	readErr := read(out)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the guest did not end within %v", m.Limit)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("qemu: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return readErr
}

// faultWords in the kernel's output report a fault of the kernel.
var faultWords = []string{"WARNING: ", "BUG: ", "Oops", "Call Trace:", "Kernel panic", "RIP: ", "UBSAN:", "rcu: INFO"}

// ReadConsole returns the kernel's output, and whether it reports a fault.
func ReadConsole(file string) (text string, alarm bool) {
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
