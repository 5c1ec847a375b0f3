// SPDX-License-Identifier: MIT

package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// privateDirs are empty and separate for each isolated program, and again for each host in it.
var privateDirs = []string{"/run/nicteam", "/etc/nicteam", "/var/lib/nicteam"}

// setUpNamespaces sets up new namespaces: it runs once, in process 1.
func setUpNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// Shared again inside: the mount namespaces of hosts follow this one, so that they see a network namespace that is
	// named later.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts inside: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := mountSys(); err != nil {
		return err
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, d := range []string{"/run/netns", "/run/lock", "/run/lab"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, d := range privateDirs {
		if err := privateDir(d); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// mountSys shows the devices of the calling thread's network namespace in /sys/class/net.
func mountSys() error {
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	// Absent on kernels without them, where nothing needs them.
	_ = unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=700")
	_ = unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "")
	return nil
}

// privateDir mounts an empty directory at path without creating a mount point on the disk: if the directory is missing,
// its parent becomes an overlay in memory first.
func privateDir(path string) error {
	if _, err := os.Stat(path); err != nil {
		parent := filepath.Dir(path)
		if err := overlay(parent); err != nil {
			return fmt.Errorf("overlay %s: %w", parent, err)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("nicteam", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func overlay(path string) error {
	if path == "/run" {
		return nil
	}
	dir, err := os.MkdirTemp("/run/lab", "overlay")
	if err != nil {
		return err
	}
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	return unix.Mount("lab", path, "overlay", 0, "lowerdir="+path+",upperdir="+upper+",workdir="+work)
}
