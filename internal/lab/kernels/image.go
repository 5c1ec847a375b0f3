// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"

	"nicteam/internal/lab/vm"
)

// goStub stands in for `go build -o FILE nicteam/cmd/nicteam`, with which the tests build the program.
const goStub = `#!/bin/sh
while [ $# -gt 0 ]; do
	[ "$1" = -o ] && exec cp /nicteam "$2"
	shift
done
echo 'this machine has no Go, only the program that was built before it was started' >&2
exit 1
`

// compile builds the test binaries of the suites into dir, by name of the suite. They do not need a C library.
func compile(run []suite, dir string) error {
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, s := range run {
		args = append(args, "./"+s.Package)
	}
	return vm.BuildStatic(args...)
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
	err := vm.Root{Kernel: c.Kernel, Modules: c.Modules, Programs: programs, Trees: directories, Tasks: c.tasks(),
		Packages: map[string]string{"nicteam": "./cmd/nicteam", "init": "./internal/lab/kernels"}}.Write(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/go"), []byte(goStub), 0o755); err != nil {
		return err
	}
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
	for _, s := range c.Suites {
		if err := vm.CopyFile(filepath.Join(c.Tests, s.name()+".test"), filepath.Join(root, s.binary())); err != nil {
			return err
		}
	}
	return nil
}

// tasks are the calls of the test binaries. As with go test, a test runs in its package's directory and finds testdata
// there.
func (c content) tasks() (all []vm.Task) {
	for _, s := range c.Suites {
		all = append(all, vm.Task{
			Name: s.Package, Binary: s.binary(), Dir: filepath.Dir(s.binary()),
			Arguments: s.arguments(c.Kernel.Release, c.Quick, c.Run), Seconds: int(s.Timeout.Seconds()) + 30,
		})
	}
	return all
}

// binary is the file of the suite's test binary in the guest.
func (s suite) binary() string { return filepath.Join("/tests", s.Package, s.name()+".test") }
