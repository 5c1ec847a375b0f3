// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// modulesList names the modules that the initramfs loads, in this order.
	modulesList = "/modules.list"
	// agentProgram is where the agent is in the guest's file system.
	agentProgram = "/usr/local/lib/nicteam-hosts/agent"
	agentUnit    = "nicteam-hosts-agent.service"
)

// agentService starts as soon as systemd does and goes on until the power is off.
const agentService = `[Unit]
Description=Agent of the driver of make test-hosts
DefaultDependencies=no

[Service]
ExecStart=` + agentProgram + `
Restart=always
RestartSec=0
OOMScoreAdjust=-1000
StandardOutput=null
`

// initramfs is process 1 of the guest until the root file system is there: it loads the drivers, adds the agent to
// the root file system, and starts systemd. It returns only with an error.
func initramfs() error {
	for _, m := range []struct{ kind, at string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	const root = "/sysroot"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := mountRoot(root); err != nil {
		return err
	}
	if err := addAgent(root); err != nil {
		return fmt.Errorf("add the agent: %w", err)
	}
	for _, d := range []string{"/dev", "/proc", "/sys"} {
		if err := unix.Mount(d, filepath.Join(root, d), "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", d, err)
		}
	}
	// As switch_root of util-linux.
	if err := errors.Join(os.Chdir(root), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."),
		os.Chdir("/")); err != nil {
		return fmt.Errorf("change to the root file system: %w", err)
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"})
}

func loadModules() error {
	b, err := os.ReadFile(modulesList)
	if err != nil {
		return err
	}
	for file := range strings.FieldsSeq(string(b)) {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

func mountRoot(at string) (err error) {
	for range 200 {
		if err = unix.Mount("/dev/vda", at, "ext4", 0, ""); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("mount /dev/vda: %w", err)
}

func addAgent(root string) error {
	program, err := os.ReadFile("/init")
	if err != nil {
		return err
	}
	wants := "/etc/systemd/system/sysinit.target.wants"
	for _, d := range []string{filepath.Dir(agentProgram), wants} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	link := filepath.Join(root, wants, agentUnit)
	if err := os.Symlink("../"+agentUnit, link); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	unit := filepath.Join(root, "/etc/systemd/system", agentUnit)
	if err := os.WriteFile(unit, []byte(agentService), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, agentProgram), program, 0o755)
}
