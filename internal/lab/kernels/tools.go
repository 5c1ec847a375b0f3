// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are those that the tests and their scripts start. Those with a question mark may be missing.
var programs = []string{
	"sh", "cat", "cp", "echo", "env", "false", "head", "kill?", "ls", "mkdir", "mv", "pwd", "rm", "seq", "sleep",
	"sort", "stat",
	"tail", "timeout", "touch", "true", "uname", "wc", "grep", "sed", "setsid", "setpriv", "mount", "umount",
	"dmesg", "lsmod", "modprobe",
	"sysctl", "ip", "tc", "bridge", "nft", "ethtool", "ping", "strace?", "bpftool?",
}

// directories of this machine that those programs read.
var directories = []string{"/etc/iproute2", "/usr/share/iproute2"}

// findPrograms returns the paths of the programs and of the libraries that they load.
func findPrograms() ([]string, error) {
	var files []string
	seen := map[string]bool{}
	add := func(path string) {
		if !seen[path] {
			seen[path] = true
			files = append(files, path)
		}
	}
	for _, p := range programs {
		name, optional := strings.CutSuffix(p, "?")
		path, err := findProgram(name)
		if err != nil && optional {
			continue
		}
		if err != nil {
			return nil, err
		}
		add(path)
		libraries, err := libraries(path)
		if err != nil {
			return nil, err
		}
		for _, l := range libraries {
			add(l)
		}
	}
	return files, nil
}

// findProgram finds a program as root does: /usr/sbin is not in every user's path.
func findProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w", name, exec.ErrNotFound)
}

// libraries returns what ldd reports for a program.
func libraries(path string) ([]string, error) {
	out, err := exec.Command("ldd", path).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) &&
		strings.Contains(string(out), "not a dynamic executable") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w\n%s", path, err, out)
	}
	return parseLDD(string(out)), nil
}

// parseLDD returns the files of ldd's lines: "libc.so.6 => /lib/libc.so.6 (0x…)" and "/lib64/ld.so (0x…)".
func parseLDD(out string) []string {
	var files []string
	for l := range strings.Lines(out) {
		if _, after, ok := strings.Cut(l, "=>"); ok {
			l = after
		}
		if f := strings.Fields(l); len(f) > 0 && strings.HasPrefix(f[0], "/") {
			files = append(files, f[0])
		}
	}
	return files
}
