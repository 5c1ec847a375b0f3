// SPDX-License-Identifier: MIT

package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Kernel is what boots: its image, its modules, and its release, such as 6.1.0-56-amd64.
type Kernel struct {
	Image, Modules, Release string
}

// unpacked are the parts of a kernel package that are unpacked: less than half of 400 MB.
var unpacked = []string{
	"./boot",
	"./lib/modules/*/modules.*",
	"./lib/modules/*/kernel/net",
	"./lib/modules/*/kernel/lib",
	"./lib/modules/*/kernel/crypto",
	"./lib/modules/*/kernel/fs",
	"./lib/modules/*/kernel/drivers/block",
	"./lib/modules/*/kernel/drivers/char",
	"./lib/modules/*/kernel/drivers/net",
	"./lib/modules/*/kernel/drivers/virtio",
	"./lib/modules/*/kernel/arch",
}

// FetchKernel returns the kernel to boot. given is a kernel image with its modules below modules, a file with a kernel
// package, or empty for apt's package of that name, or its first dependency if the package itself has no kernel.
func FetchKernel(given, modules, name, cache string) (Kernel, error) {
	switch {
	case strings.HasSuffix(given, ".deb"):
		return unpackKernel(given, unpackedAt(given, cache))
	case given != "":
		return localKernel(given, modules)
	}
	deb, err := download(name, cache)
	if err != nil {
		return Kernel{}, err
	}
	return unpackKernel(deb, unpackedAt(deb, cache))
}

// unpackedAt returns the directory of an unpacked package. Its name depends on the parts that are unpacked, so that an
// older one does not count as complete.
func unpackedAt(deb, cache string) string {
	return filepath.Join(cache, strings.TrimSuffix(filepath.Base(deb), ".deb")+".3")
}

func localKernel(image, modules string) (Kernel, error) {
	if modules == "" {
		return Kernel{}, errors.New("a kernel image needs its modules: the directory /lib/modules/RELEASE")
	}
	if _, err := os.Stat(image); err != nil {
		return Kernel{}, err
	}
	if _, err := os.Stat(filepath.Join(modules, "modules.builtin")); err != nil {
		return Kernel{}, fmt.Errorf("modules of %s: %w", image, err)
	}
	modules, err := filepath.Abs(modules)
	return Kernel{Image: image, Modules: modules, Release: filepath.Base(modules)}, err
}

// download fetches a package with apt into the cache, unless it is there, and returns the file.
func download(name, cache string) (string, error) {
	real, version, err := candidate(name)
	if err != nil {
		// Without apt-get update there are no lists, and only root may fetch them.
		if update := exec.Command("apt-get", "update", "-qq"); update.Run() != nil {
			return "", err
		}
		if real, version, err = candidate(name); err != nil {
			return "", err
		}
	}
	// apt escapes the colon of an epoch; kernels have none.
	file := filepath.Join(cache, fmt.Sprintf("%s_%s_amd64.deb", real, version))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("fetch %s %s\n", real, version)
	get := func() error {
		// apt's unprivileged user may not be able to write here.
		cmd := exec.Command("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", real+"="+version)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("download %s: %w\n%s", real, err, out)
		}
		return nil
	}
	if err := get(); err != nil {
		// The archive has newer packages than the lists.
		if exec.Command("apt-get", "update", "-qq").Run() != nil {
			return "", err
		}
		return download(name, cache)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("download %s: got %v", real, got)
	}
	return file, os.Rename(got[0], file)
}

// candidate returns the package with the kernel and its version: linux-image-amd64 only depends on it.
func candidate(name string) (real, version string, err error) {
	out, err := exec.Command("apt-cache", "show", "--no-all-versions", name).Output()
	if err != nil {
		return "", "", fmt.Errorf("find package %s: apt knows none: run apt-get update", name)
	}
	field := func(key string) string {
		for l := range strings.Lines(string(out)) {
			if v, ok := strings.CutPrefix(l, key+": "); ok {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	dependency, _, _ := strings.Cut(field("Depends"), " ")
	if strings.HasPrefix(dependency, "linux-image-") {
		return candidate(strings.TrimSuffix(dependency, ","))
	}
	return name, field("Version"), nil
}

// unpackKernel unpacks the needed parts of a kernel package into dir, unless dir exists.
func unpackKernel(deb, dir string) (Kernel, error) {
	if _, err := os.Stat(dir); err != nil {
		part := dir + ".part"
		if err := os.RemoveAll(part); err != nil {
			return Kernel{}, err
		}
		if err := unpack(deb, part); err != nil {
			os.RemoveAll(part)
			return Kernel{}, fmt.Errorf("unpack %s: %w", deb, err)
		}
		if err := os.Rename(part, dir); err != nil {
			return Kernel{}, err
		}
	}
	images, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if len(images) != 1 {
		return Kernel{}, fmt.Errorf("kernel package %s: images %v, want one", deb, images)
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	return Kernel{Image: images[0], Modules: filepath.Join(dir, "lib/modules", release), Release: release}, nil
}

func unpack(deb, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	from := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	to := exec.Command("tar", append([]string{"-x", "--no-same-owner", "--wildcards", "-C", dir}, unpacked...)...)
	from.Stderr, to.Stderr = os.Stderr, os.Stderr
	pipe, err := from.StdoutPipe()
	if err != nil {
		return err
	}
	to.Stdin = pipe
	if err := from.Start(); err != nil {
		return err
	}
	return errors.Join(to.Run(), from.Wait())
}
