// SPDX-License-Identifier: MIT

package vm

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindPrograms returns the paths of programs of this machine and of the libraries that they load. A name that ends in a
// question mark may be missing.
func FindPrograms(names []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	add := func(path string) {
		if !seen[path] {
			seen[path] = true
			files = append(files, path)
		}
	}
	for _, p := range names {
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
