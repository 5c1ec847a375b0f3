// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A text is a licence, or a notice that has to go with it, and who has it.
type text struct {
	text   string
	owners []string
}

// notices returns our licence, then each text of the libraries once. Debian wants that file to be called copyright.
func notices() ([]byte, error) {
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, err
	}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dirs := []string{"Go standard library and runtime " + root}
	modules, err := output("go", "list", "-deps", "-f",
		`{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}`, "./cmd/nicteam")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(modules, "\n")
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		if line != "" {
			dirs = append(dirs, line)
		}
	}
	texts, err := collect(dirs)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "nicteam\n\n%s\nIts eBPF programs are \"GPL-2.0-only OR MIT\"; here MIT is chosen.\n\n"+
		"The program contains the following libraries, under their own licences. On Debian systems the text of\n"+
		"Apache-2.0 is also in /usr/share/common-licenses/Apache-2.0.\n", own)
	for _, t := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("-", 78), strings.Join(t.owners, "\n"), t.text)
	}
	return b.Bytes(), nil
}

// collect reads the texts in each "NAME DIRECTORY", and joins those that are the same.
func collect(dirs []string) (list []*text, _ error) {
	known := map[string]*text{}
	for _, d := range dirs {
		i := strings.LastIndexByte(d, ' ')
		name, dir := d[:i], d[i+1:]
		files, err := licenceFiles(dir)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s: no licence in %s", name, dir)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			content := strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n"))
			t := known[content]
			if t == nil {
				t = &text{text: content}
				known[content] = t
				list = append(list, t)
			}
			t.owners = append(t.owners, name)
		}
	}
	return list, nil
}

func licenceFiles(dir string) (files []string, _ error) {
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "NOTICE*", "PATENTS"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// output runs a command for what the binary of linux/amd64 has, and returns what it prints without white space around.
func output(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	b, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return strings.TrimSpace(string(b)), nil
}
