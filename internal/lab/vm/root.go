// SPDX-License-Identifier: MIT

package vm

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// usrMerged are the directories that are links into /usr on Debian.
var usrMerged = []string{"bin", "sbin", "lib", "lib64"}

// directories are empty; programs create files or mounts there.
var directories = []string{"proc", "sys", "dev", "run", "tmp", "root", "mnt", "etc/nicteam", "var/lib/nicteam",
	"var/tmp", "run/nicteam"}

// files are those that every guest needs, with their contents.
var files = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// A Root is the content of a guest's root file system, which is in memory.
type Root struct {
	Kernel   Kernel
	Modules  ModuleSet
	Programs []string          // of this machine, as FindPrograms takes them
	Trees    []string          // of this machine: directories that those programs read
	Packages map[string]string // Go programs by the file that they are built into; "init" is process 1
	Tasks    []Task
}

// Write creates the root file system in an empty directory.
func (r Root) Write(root string) error {
	for _, d := range usrMerged {
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, d := range directories {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	programs, err := FindPrograms(r.Programs)
	if err != nil {
		return err
	}
	for _, f := range programs {
		if err := CopyFile(f, filepath.Join(root, f)); err != nil {
			return err
		}
	}
	for _, d := range r.Trees {
		if err := CopyTree(d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Packages)) {
		if err := BuildStatic("build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, name),
			r.Packages[name]); err != nil {
			return err
		}
	}
	if err := r.Modules.Write(r.Kernel, root); err != nil {
		return err
	}
	return writeTasks(root, r.Tasks)
}

// Pack packs a root file system into a file.
func Pack(root, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := WriteCPIO(f, root); err != nil {
		return err
	}
	return f.Close()
}

// BuildStatic runs the go command without cgo, as the guest has no C library for what it builds.
func BuildStatic(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}
