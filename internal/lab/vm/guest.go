// SPDX-License-Identifier: MIT

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mounts are what a Debian machine has mounted when services start.
var mounts = []struct{ kind, at, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", "mode=755"},
	{"tmpfs", "/run", "mode=755"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"bpf", "/sys/fs/bpf", "mode=700"},
	{"cgroup2", "/sys/fs/cgroup", ""},
	{"securityfs", "/sys/kernel/security", ""},
	{"tracefs", "/sys/kernel/tracing", ""},
}

// reportLine is the guest's second serial line.
const reportLine = "/dev/ttyS1"

// Guest is process 1 of a guest: it sets the machine up, runs the tasks with their output on the line to the host, and
// switches off. prepare, if any, runs before the tasks. It never returns.
func Guest(prepare func() error) {
	out, err := mountAndOpenLine()
	if out == nil {
		out = os.Stdout
	}
	if err == nil && prepare != nil {
		err = prepare()
	}
	if err == nil {
		err = runTasks(out)
	}
	if err != nil {
		WriteEvent(out, Event{Kind: Trouble, Text: err.Error()})
	}
	WriteEvent(out, Event{Kind: Done})
	flushLine(out)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// mountAndOpenLine mounts the file systems and opens the line to the host.
func mountAndOpenLine() (*os.File, error) {
	for _, m := range mounts {
		if err := os.MkdirAll(m.at, 0o755); err != nil && !errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("mount %s: %w", m.at, err)
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil && m.kind != "securityfs" &&
			m.kind != "tracefs" {
			return nil, fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	out, err := os.OpenFile(reportLine, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", reportLine, err)
	}
	if err := setRaw(out); err != nil {
		return out, err
	}
	// Links that udev or systemd create on other machines.
	links := map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
	for name, to := range links {
		_ = os.Symlink(to, "/dev/"+name)
	}
	os.Clearenv()
	for k, v := range map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TMPDIR": "/tmp",
		"LANG": "C.UTF-8"} {
		os.Setenv(k, v)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return out, fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return out, fmt.Errorf("set lo up: %w", err)
	}
	// Elsewhere udev creates /dev/net/tun, and opening it loads the module.
	if b, err := exec.Command("modprobe", "tun").CombinedOutput(); err != nil {
		return out, fmt.Errorf("modprobe tun: %w: %s", err, b)
	}
	return out, nil
}

// setRaw makes a serial line pass bytes unchanged.
func setRaw(f *os.File) error {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("settings of %s: %w", f.Name(), err)
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	t.Cflag |= unix.CLOCAL
	return unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// flushLine waits until the line has sent everything.
func flushLine(f *os.File) { _ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) }

// runTasks runs the tasks.
func runTasks(out *os.File) error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	release, version := unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Version[:])
	WriteEvent(out, Event{Kind: KernelIs, Text: release + " " + version})
	b, err := os.ReadFile("/" + taskFile)
	if err != nil {
		return err
	}
	var tasks []Task
	if err := json.Unmarshal(b, &tasks); err != nil {
		return err
	}
	for _, t := range tasks {
		WriteEvent(out, Event{Kind: Begin, Text: t.Name})
		began := time.Now()
		code, why := t.run(out)
		WriteEvent(out, Event{Kind: End, Text: why, Package: t.Name, Code: code,
			Seconds: time.Since(began).Seconds()})
	}
	if b, err := os.ReadFile("/proc/modules"); err == nil {
		var names []string
		for l := range strings.Lines(string(b)) {
			name, _, _ := strings.Cut(l, " ")
			names = append(names, name)
		}
		WriteEvent(out, Event{Kind: Modules, Text: strings.Join(names, " ")})
	}
	return nil
}

// run runs a program with its output on the line.
func (t Task) run(out *os.File) (code int, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(t.Seconds)*time.Second)
	defer cancel()
	// Process 1 inherits orphans. There are few, so they are not reaped.
	signal.Ignore(syscall.SIGHUP)
	cmd := exec.CommandContext(ctx, t.Binary, t.Arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.Dir, out, out
	err := cmd.Run()
	if ctx.Err() != nil {
		return 1, fmt.Sprintf("killed after %d s", t.Seconds)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), exit.Error()
	}
	if err != nil {
		return 1, err.Error()
	}
	return 0, ""
}
