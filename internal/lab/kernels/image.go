// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"nicteam/internal/lab/vm"
)

// usrMerged are the directories that are links into /usr on Debian.
var usrMerged = []string{"bin", "sbin", "lib", "lib64"}

// directoriesOfTests are the directories in which the tests create files or mounts.
var directoriesOfTests = []string{"proc", "sys", "dev", "run", "tmp", "root", "mnt", "etc/nicteam",
	"var/lib/nicteam", "var/tmp", "run/nicteam"}

// files are files that the tests need, with their contents.
var files = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// goStub stands in for `go build -o FILE nicteam/cmd/nicteam`, with which the tests build the program.
const goStub = `#!/bin/sh
while [ $# -gt 0 ]; do
	[ "$1" = -o ] && exec cp /nicteam "$2"
	shift
done
echo 'this machine has no Go, only the program that was built before it was started' >&2
exit 1
`

// A task is one call of a test binary in the guest.
type task struct {
	Package   string
	Binary    string // in the guest
	Dir       string
	Arguments []string
	Seconds   int // until it is killed
}

const taskFile = "tasks.json"

// compile builds the test binaries of the suites into dir, by name of the suite. They do not need a C library.
func compile(run []suite, dir string) error {
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, s := range run {
		args = append(args, "./"+s.Package)
	}
	return buildStatic(args...)
}

// buildStatic runs the go command without cgo.
func buildStatic(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}

// A content is the content of an image.
type content struct {
	Kernel  vm.Kernel
	Modules vm.ModuleSet
	Suites  []suite
	Tests   string // the directory of the test binaries
	Quick   bool
	Run     string // overrides the suites' own choice
}

// build creates the root file system in an empty directory.
func (c content) build(root string) error {
	for _, d := range usrMerged {
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, d := range directoriesOfTests {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/go"), []byte(goStub), 0o755); err != nil {
		return err
	}
	files, err := findPrograms()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := vm.CopyFile(f, filepath.Join(root, f)); err != nil {
			return err
		}
	}
	for _, d := range directories {
		if err := vm.CopyTree(d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for name, of := range map[string]string{"nicteam": "./cmd/nicteam", "init": "./internal/lab/kernels"} {
		if err := buildStatic("build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, name), of); err != nil {
			return err
		}
	}
	if err := c.Modules.Write(c.Kernel, root); err != nil {
		return err
	}
	return c.writeTasks(root)
}

func (c content) writeTasks(root string) error {
	for _, pattern := range []string{"*/testdata", "*/*/testdata"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, d := range found {
			if err := vm.CopyTree(d, filepath.Join(root, "tests", d)); err != nil {
				return err
			}
		}
	}
	var tasks []task
	for _, s := range c.Suites {
		// As with go test, a test runs in its package's directory and finds testdata there.
		dir := filepath.Join("/tests", s.Package)
		if err := vm.CopyFile(filepath.Join(c.Tests, s.name()+".test"),
			filepath.Join(root, dir, s.name()+".test")); err != nil {
			return err
		}
		tasks = append(tasks, task{
			Package: s.Package, Binary: filepath.Join(dir, s.name()+".test"), Dir: dir,
			Arguments: s.arguments(c.Kernel.Release, c.Quick, c.Run), Seconds: int(s.Timeout.Seconds()) + 30,
		})
	}
	b, err := json.Marshal(tasks)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, taskFile), b, 0o644)
}
