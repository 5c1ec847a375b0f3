// SPDX-License-Identifier: MIT

// Command lint holds the rules of this repository that no public linter knows:
//
//	spdx      every source file names its licence in its first lines
//	columns   no line is longer than 120 columns
//	licences  docs/licences.md lists the libraries in the binary, all under known permissive licences
//
// Without arguments it runs all of them. -write writes docs/licences.md anew. It runs at the root of the repository and
// reads the files that git tracks or would track.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A rule returns its complaints, each "file:line: text" or "file: text".
type rule struct {
	name  string
	check func(files []string) ([]string, error)
}

var rules = []rule{{"spdx", spdx}, {"columns", columns}, {"licences", licences}}

func main() {
	write := flag.Bool("write", false, "write "+licencesFile+" anew")
	flag.Parse()
	complaints, err := run(*write, flag.Args())
	for _, c := range complaints {
		fmt.Println(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
	}
	if err != nil || len(complaints) > 0 {
		os.Exit(1)
	}
}

func run(write bool, names []string) ([]string, error) {
	if write {
		table, err := licenceTable()
		if err != nil {
			return nil, err
		}
		return nil, os.WriteFile(licencesFile, table, 0o644)
	}
	files, err := tracked()
	if err != nil {
		return nil, err
	}
	var complaints []string
	for _, r := range rules {
		if len(names) > 0 && !slices.Contains(names, r.name) {
			continue
		}
		c, err := r.check(files)
		if err != nil {
			return complaints, fmt.Errorf("%s: %w", r.name, err)
		}
		complaints = append(complaints, c...)
	}
	return complaints, nil
}

// tracked lists the text files of the repository, recorded test data excepted.
func tracked() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []string
	for f := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(f); err == nil && !strings.Contains("/"+f, "/testdata/") {
			files = append(files, f)
		}
	}
	return files, nil
}

// generated is the Go command's rule: a line of its own before the package clause.
func generated(src []byte) bool {
	head, _, _ := bytes.Cut(src, []byte("\npackage "))
	for line := range bytes.Lines(head) {
		if bytes.HasPrefix(line, []byte("// Code generated ")) && bytes.HasSuffix(line, []byte(" DO NOT EDIT.\n")) {
			return true
		}
	}
	return false
}
