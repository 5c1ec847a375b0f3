package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// merged are the directories that Debian has below /usr.
var merged = []string{"bin", "sbin", "lib", "lib64"}

// places are the directories in which the tests make files or mounts.
var places = []string{"proc", "sys", "dev", "run", "tmp", "root", "mnt", "etc/nicteam", "var/lib/nicteam", "var/tmp",
	"run/nicteam"}

// texts are files that have to be there.
var texts = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// goInstead answers `go build -o FILE nicteam/cmd/nicteam`, by which the tests get the program.
const goInstead = `#!/bin/sh
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
	Seconds   int // after which it is killed
}

const taskFile = "tasks.json"

// compile builds the test binaries of the suites into dir, by name of the suite. Nothing of this machine's C library
// is in them.
func compile(run []suite, dir string) error {
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, s := range run {
		args = append(args, "./"+s.Package)
	}
	return static(args...)
}

// static runs go without cgo.
func static(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}

// A content is what goes into an image.
type content struct {
	Kernel  kernel
	Modules moduleSet
	Suites  []suite
	Tests   string // the directory of the test binaries
	Quick   bool
	Run     string // overrides the suites' own choice
}

// build makes the root below an empty directory.
func (c content) build(root string) error {
	for _, d := range merged {
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, d := range places {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/go"), []byte(goInstead), 0o755); err != nil {
		return err
	}
	files, err := findPrograms()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(f, filepath.Join(root, f)); err != nil {
			return err
		}
	}
	for _, d := range directories {
		if err := copyTree(d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for name, of := range map[string]string{"nicteam": "./cmd/nicteam", "init": "./internal/lab/kernels"} {
		if err := static("build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, name), of); err != nil {
			return err
		}
	}
	if err := writeModules(c.Kernel, c.Modules, root); err != nil {
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
			if err := copyTree(d, filepath.Join(root, "tests", d)); err != nil {
				return err
			}
		}
	}
	var tasks []task
	for _, s := range c.Suites {
		// A test runs in its package's directory, as go test has it, and finds testdata there and beside it.
		dir := filepath.Join("/tests", s.Package)
		if err := copyFile(filepath.Join(c.Tests, s.name()+".test"),
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

// copyFile copies a file's content and permissions; links on both sides are followed.
func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

// copyTree copies a directory; one that is missing is none.
func copyTree(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return nil
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return copyFile(path, filepath.Join(to, strings.TrimPrefix(path, from)))
	})
}
