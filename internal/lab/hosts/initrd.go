// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"nicteam/internal/lab/vm"
)

// initrd packs the guest program as process 1, with the modules that it loads.
func initrd(k vm.Kernel, file string) error {
	dir, err := os.MkdirTemp("", "nicteam-hosts-initrd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	modules, err := vm.FindModules(k, bootModules)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, m := range modules.Files {
		name := "/" + filepath.Base(m)
		fmt.Fprintln(&list, name)
		if err := vm.CopyFile(filepath.Join(k.Modules, m), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.list"), []byte(list.String()), 0o644); err != nil {
		return err
	}
	// What Linux opens for process 1 before anything is mounted.
	if err := os.MkdirAll(filepath.Join(dir, "dev"), 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", filepath.Join(dir, "init"), "./internal/lab/hosts/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the guest program: %w\n%s", err, out)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(vm.WriteCPIO(f, dir), f.Close())
}
